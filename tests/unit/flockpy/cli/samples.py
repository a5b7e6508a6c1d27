"""One of each thing the admin API speaks of."""

MODEL = {
    "id": "demo",
    "name": "Demo",
    "source": "file:/m/demo.gguf",
    "size_bytes": 1536,
    "context_window": 4096,
    "capabilities": ["chat"],
    "engine": "",
    "node_id": "n_1",
    "state": "serving",
    "placements": [
        {"id": "p_1", "model_id": "demo", "node_id": "n_1", "state": "ready", "engine": "embedded"}
    ],
    "details": {"architecture": "llama"},
    "created_at": "2026-01-01T00:00:00.000Z",
}
NODE = {
    "id": "n_1",
    "hostname": "box",
    "role": "leader",
    "state": "ready",
    "version": "1",
    "address": "127.0.0.1",
    "hardware": {
        "os": "Linux",
        "arch": "x86_64",
        "cpu": "c",
        "physical_cores": 4,
        "memory_bytes": 2**33,
        "devices": [],
    },
    "engines": [{"name": "embedded", "available": True, "version": "9", "reason": ""}],
    "placements": MODEL["placements"],
    "last_seen": "2026-01-01T00:00:00.000Z",
}
KEY = {
    "id": "k_1",
    "name": "ada",
    "scope": "user",
    "prefix": "sk-orc-abcd",
    "daily_token_quota": 5000,
    "models": None,
    "expires_at": None,
    "revoked_at": None,
    "created_at": "2026-01-01T00:00:00.000Z",
}
RECORD = {
    "request_id": "req_1",
    "time": "2026-01-01T00:00:00.000Z",
    "user": "ada",
    "model": "demo",
    "surface": "chat",
    "prompt_tokens": 3,
    "completion_tokens": 4,
    "ttft_ms": None,
    "duration_ms": 12.5,
    "outcome": "ok",
}
ENTRY = {
    "id": "1",
    "time": RECORD["time"],
    "actor": "ada",
    "action": "model.add",
    "target": "demo",
    "detail": "x",
}
OPERATION = {
    "id": "op_1",
    "kind": "install",
    "target": "demo",
    "state": "running",
    "done_bytes": 1,
    "total_bytes": 2,
}

ALIAS = {"name": "claude-*haiku*", "model": "demo", "source": "command", "trouble": None}
