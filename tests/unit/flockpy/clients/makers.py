"""Connections and settings files to test with."""

from flockpy.clients.template import Connection, model

LARGE = model("auto", 100_000)
SMALL = model("qwen3", 32_768, vision=True)


def connection(home: str = "~", *, chosen: str = "auto", url: str = "http://127.0.0.1:8080") -> Connection:
    models = (LARGE, SMALL)
    return Connection(url, "sk-orc-secret", next(m for m in models if m.id == chosen), models, {}, home)


JSON_FILES = [
    "",
    "{}",
    "{}\n",
    "{\n}\n",
    '{"model": "mine"}',
    '{"model": "mine", "theme": {"name": "dark"}}\n',
    '{\n  "model": "mine",\n  "provider": {\n    "other": {"npm": "x"}\n  }\n}\n',
    '{\n\t"provider": {\n\t\t"other": {}\n\t},\n\t"theme": "dark", // the best\n}\n',
    '// mine\n{\n    // about models\n    "model": "mine", /* here */ "autoupdate": false\n    // the end\n}\n// bye\n',
    '{\r\n  "model": "mine",\r\n  "keybinds": {}\r\n}\r\n',
    "{\n  model: 'mine',\n  models: {mode: 'replace', providers: {}},\n}\n",
    '{\n  "env": {"EDITOR": "vi"},\n  "models": [],\n  "provider": null\n}\n',
    '{"modelProviders": {"openai": [{"id": "gpt", "envKey": "X"}]}, "env": {"FLOCKPY_API_KEY": "older"}}',
    '{\n  "modelProviders": {\n    "openai": [\n      {"id": "auto", "n": 1},\n      {"id": "gpt"},\n    ]\n  }\n}\n',
]

TOML_FILES = [
    "",
    "\n",
    'model = "mine"\n',
    '# mine\nmodel = "mine" # the best\napproval_policy = "never"\n\n[tui]\ntheme = "dark"\n',
    '[model_providers.other]\nname = "Other"\nbase_url = "http://h"\n\n[projects."/x"]\ntrust_level = "trusted"\n',
    '[tui]\nnotifications = true\n\n# about providers\n[model_providers]\n\n[model_providers.other]\nname = "o"\n',
    'model_providers = { other = { name = "o" } }\n',
    "[features]\na = [1, 2, 3] # list\nwhen = 2026-01-01T00:00:00Z\n",
    'model = "mine"\r\n[tui]\r\ntheme = "dark"\r\n',
]

YAML_FILES = [
    "",
    "# nothing yet\n",
    "name: mine\nversion: 1.0.0\nschema: v1\n",
    "name: mine\n\n# my models\nmodels:\n  - name: gpt   # the best\n    apiKey: 'abc'\n\nrules:\n  - be kind\n",
    "models:\n- name: gpt\n  model: x\nmcpServers: []\n",
    'models: []\nname: "mine"\n',
    "model: openrouter/x\nterminal:\n  backend: local\n",
    "model:\n  default: x\n  provider: openrouter # paid\nmemory: {enabled: true}\n",
]
