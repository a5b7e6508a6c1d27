"""Settings: which layer wins, and what a mistake says."""

import os
from pathlib import Path

import msgspec
import pytest

from flockpy.config import Config, chains_of, flatten, leaf_types, redacted, secrets_of, unflatten
from flockpy.errors import StartError
from flockpy.paths import DataDir
from flockpy.settings import ENVIRONMENT, Settings, load, prepare_data_dir, refuse_open_door


def load_with(tmp_path: Path, text: str, environ: dict[str, str] | None = None, **flags: str) -> Settings:
    (tmp_path / "config.yaml").write_text(text)
    return load({"FLOCK_DATA_DIR": str(tmp_path), **(environ or {})}, flags)


def test_without_anything_the_defaults_hold(tmp_path: Path):
    settings = load({"HOME": str(tmp_path)})
    assert settings.config == msgspec.structs.replace(Config(), data_dir=str(tmp_path / ".flock"))
    assert settings.data.root == tmp_path / ".flock"
    assert set(settings.sources.values()) == {"default"}
    assert not (tmp_path / ".flock").exists()


def test_flags_win_over_environment_over_file_over_defaults(tmp_path: Path):
    text = "listen: :1111\nlog_level: debug\nexternal_url: https://flock.example\n"
    settings = load_with(
        tmp_path, text, {"FLOCK_LISTEN": ":2222", "FLOCK_LOG_LEVEL": "error"}, listen=":3333"
    )
    assert settings.config.listen == ":3333"
    assert settings.config.log_level == "error"
    assert settings.config.external_url == "https://flock.example"
    assert settings.sources["listen"] == "--listen"
    assert settings.sources["log_level"] == "FLOCK_LOG_LEVEL"
    assert settings.sources["external_url"] == f"{tmp_path / 'config.yaml'}:3"
    assert settings.sources["jit.enabled"] == "default"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("listen: :80\nlogs: info\n", "2: unknown key `logs`"),
        (
            "auth:\n  require_key: true\n",
            "2: unknown key `auth.require_key` / did you mean `auth.require_keys`?",
        ),
        ("require_keys: true\n", "1: unknown key `require_keys` / did you mean `auth.require_keys`?"),
        ("engines:\n  preferred: vllm\n", "1: unknown key `engines` / did you mean `engine`?"),
        ("xyzzy: 1\n", "1: unknown key `xyzzy` / `flockpy config show` lists every key"),
        ("engine:\n  defaults:\n    slot: 3\n", "3: unknown key `engine.defaults.slot`"),
        ("listen: 8080\n", "1: `listen`: expected text, got 8080; put it in quotes"),
        ("listen: '8080'\n", "1: `listen`: '8080' is not [host]:port"),
        ("listen: ':0'\n", "1: `listen`: ':0' is not [host]:port"),
        ("listen:\n", "1: `listen`: expected text, got nothing"),
        ("listen: [1, 2]\n", "1: `listen` takes one value, got a list"),
        ("listen:\n  port: 1\n", "1: `listen` takes one value, got a section"),
        ("auth: true\n", "1: `auth` is a section"),
        ("auth:\n  require_keys: maybe\n", "2: `auth.require_keys`: expected true or false, got 'maybe'"),
        (
            "log_level: warn\n",
            "1: `log_level`: expected one of debug, info, warning, error; got 'warn'; did you mean",
        ),
        ("storage:\n  type: postgres\n", "2: `storage.type`: expected one of sqlite; got 'postgres'"),
        (
            "jit:\n  cooldown_seconds: fast\n",
            "2: `jit.cooldown_seconds`: expected a number, got text; it is 'fast'",
        ),
        ("jit:\n  cooldown_seconds: -1\n", "2: `jit.cooldown_seconds`: expected a number > 0.0; it is -1"),
        ("jit:\n  cooldown_seconds: .nan\n", "2: `jit.cooldown_seconds`: expected a number > 0.0"),
        ("limits:\n  body_bytes: 0\n", "2: `limits.body_bytes`: expected a whole number >= 1; it is 0"),
        ("limits:\n  body_bytes: 1.5\n", "2: `limits.body_bytes`: expected a whole number, got a number"),
        (
            "external_url: flock.example\n",
            "1: `external_url`: 'flock.example' is not an address such as http",
        ),
        ("listen: ':1'\nlisten: ':2'\n", "2: the key `listen` stands twice (also in line 1)"),
        ("jit:\n  enabled: true\njit:\n  enabled: true\n", "3: the key `jit` stands twice (also in line 1)"),
        ("a: b: c\n", "1: not YAML: mapping values are not allowed here"),
        ("listen: ':1'\n\tx: 1\n", "2: not YAML"),
        ("listen: 'a\n", "2: not YAML"),
        ("- listen\n", "1: expected `key: value` lines, got a list"),
        ("listen\n", "1: expected `key: value` lines, got 'listen'"),
        ("---\nlisten: ':1'\n---\nlisten: ':2'\n", "3: not YAML"),
        ("jit: {enabled: !!python/object:os.system x}\n", "1: `jit.enabled`: 'x' is no valid"),
        ("log_level: !!timestamp x\n", "1: `log_level`: 'x' is no valid timestamp"),
        (
            "log_level: 2024-13-45\n",
            "1: `log_level`: '2024-13-45' is no valid timestamp / put text in quotes",
        ),
        ("? [a]\n: 1\n", "1: expected the name of a key, got a list"),
        ("listen: ':1'\n\x01", "2: not YAML: special characters are not allowed"),
        ("<<: {listen: ':1'}\n", "1: unknown key `<<`"),
        ("router:\n  aliases: fast\n", "2: `router.aliases` is a section: `name: model` lines"),
        ("router:\n  aliases: [fast]\n", "2: `router.aliases` is a section: `name: model` lines"),
        ("router:\n  aliases:\n    fast:\n", "3: `router.aliases.fast`: expected text, got nothing"),
        ("router:\n  aliases:\n    fast: 4\n", "3: `router.aliases.fast`: expected text, got 4"),
        (
            "router:\n  aliases:\n    gpt-5.5: {a: b}\n",
            "3: `router.aliases.gpt-5.5` takes one value, got a section",
        ),
        (
            "router:\n  aliases:\n    a: m\n    a: n\n",
            "4: the key `router.aliases.a` stands twice (also in line 3)",
        ),
        (
            "router:\n  aliases:\n    auto: m\n",
            "3: `router.aliases.auto`: 'auto' is the default model's name",
        ),
        ("router:\n  aliases:\n    a b: m\n", "3: `router.aliases.a b`: an alias is 1 to 200"),
        ("router:\n  aliases:\n    '': m\n", "3: `router.aliases.`: an alias is 1 to 200"),
        (
            "router:\n  aliases:\n    gpt-*: qwen*\n",
            "3: `router.aliases.gpt-*`: an alias stands for one model; 'qwen*'",
        ),
        (
            "router:\n  aliases:\n    a: " + "m" * 201,
            "3: `router.aliases.a`: what an alias stands for has at most",
        ),
        ("router:\n  alias:\n    a: b\n", "2: unknown key `router.alias` / did you mean `router.aliases`?"),
        ("[" * 5000, "nested too deeply"),
    ],
)
def test_a_mistake_in_the_file_names_file_line_and_key(tmp_path: Path, text: str, said: str):
    with pytest.raises(StartError) as caught:
        load_with(tmp_path, text)
    whole = caught.value.message + (f" / {caught.value.hint}" if caught.value.hint else "")
    assert whole.startswith(str(tmp_path / "config.yaml"))
    assert said in whole


def test_aliases_are_lines_of_name_and_model(tmp_path: Path):
    text = 'router:\n  aliases:\n    gpt-5.5: qwen\n    claude-*haiku*: auto\n    "*": ""\n'
    settings = load_with(tmp_path, text)
    assert settings.config.router.aliases == {"gpt-5.5": "qwen", "claude-*haiku*": "auto", "*": ""}
    assert settings.sources["router.aliases"] == f"{tmp_path / 'config.yaml'}:2"
    assert redacted(settings.config)["router.aliases"] == settings.config.router.aliases
    for empty in ("{}", ""):
        assert load_with(tmp_path, f"router:\n  aliases: {empty}\n").config == load_with(tmp_path, "").config


def test_what_is_text_with_spaces_may_be_a_list_in_the_file(tmp_path: Path):
    lines = ("models: [claude-*, gpt-5.5]", "chains:", "  qwen: [a, b]", "  llama: c, d e")
    text = "router:\n  fallback:\n" + "".join(f"    {line}\n" for line in lines)
    fallback = load_with(tmp_path, text).config.router.fallback
    assert fallback.models == "claude-* gpt-5.5"
    assert chains_of(fallback) == {"qwen": ("a", "b"), "llama": ("c", "d", "e")}
    assert load_with(tmp_path, "router:\n  fallback:\n    models: []\n").config.router.fallback.models == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models: [a b]", "2: `router.fallback.models`: each part of the list is text without spaces"),
        ("models: [1]", "2: `router.fallback.models`: expected text, got 1"),
        ("models: [[a]]", "2: `router.fallback.models`: a list holds plain values, got a list"),
        ("chains: {a: ''}", "2: `router.fallback.chains.a`: a chain has at least one more model"),
        ("chains: {a: b a}", "2: `router.fallback.chains.a`: a model stands in its chain twice"),
        ("chains: {gpt-*: b}", "2: `router.fallback.chains.gpt-*`: a chain is of models"),
        ("chains: {a: é}", "2: `router.fallback.chains.a`: the name of a model is"),
        (
            "anthropic_url: http://api.example.com",
            "2: `router.fallback.anthropic_url`: 'http://api.example.com'",
        ),
        (
            "openai_url: https://me:pass@api.example.com",
            "'https://me:***@api.example.com' must be an address",
        ),
        ("openai_url: 'https://api.example.com/v1?a=b'", "must be an address alone"),
        ("openai_url: file:///etc/passwd", "is not an address"),
        ("bedrock_region: us-east-1.evil.example/", "2: `router.fallback.bedrock_region`: 'us-east-1.evil"),
        ("vertex_location: ..", "2: `router.fallback.vertex_location`: '..' is not of the form"),
        ("vertex_project: a/b", "2: `router.fallback.vertex_project`: 'a/b' is not the id"),
        ("timeout_seconds: 0", "2: `router.fallback.timeout_seconds`: expected a number > 0.0"),
        (
            "anthropic_key: sk",
            "2: unknown key `router.fallback.anthropic_key` / did you mean `router.fallback.anth",
        ),
    ],
)
def test_a_mistake_about_vendors_names_line_and_key(tmp_path: Path, text: str, said: str):
    with pytest.raises(StartError) as caught:
        load_with(tmp_path, f"router: {{fallback: {{\n  {text}}}}}\n")
    whole = caught.value.message + (f" / {caught.value.hint}" if caught.value.hint else "")
    assert said in whole


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:21300", "http://localhost:1/v1", "http://[::1]:2", "https://x.example"]
)
def test_a_vendor_is_reached_over_tls_or_on_this_machine(tmp_path: Path, url: str):
    text = f"router:\n  fallback:\n    anthropic_url: {url}\n"
    assert load_with(tmp_path, text).config.router.fallback.anthropic_url == url


@pytest.mark.parametrize(
    "text",
    [
        "anthropic_api_key: 's3cret with spaces'",
        'openai_api_key: "s3cret\\nX-Other: header"',
        'openai_api_key: "s3cret\\x07"',
        "openai_api_key: s3crét",
        "openai_api_key: [s3cret]",
        "anthropic_api_key: {s3cret: 1}",
        "anthropic_api_key: !!timestamp s3cret",
    ],
)
def test_a_key_that_cannot_be_one_is_refused_without_being_shown(tmp_path: Path, text: str):
    with pytest.raises(StartError) as caught:
        load_with(tmp_path, f"router:\n  fallback:\n    {text}\n")
    assert "config.yaml:3: `router.fallback." in caught.value.message
    assert "s3cr" not in caught.value.message.replace("api_key.s3cret", "") + str(caught.value.hint)


def test_a_key_that_is_a_number_is_not_shown_either(tmp_path: Path):
    with pytest.raises(StartError, match=r"expected text, got something else; put it in quotes"):
        load_with(tmp_path, "router:\n  fallback:\n    openai_api_key: 4711\n")
    with pytest.raises(StartError) as caught:
        load_with(tmp_path, "", {"ANTHROPIC_API_KEY": "s3cret\nhidden: yes"})
    assert caught.value.message.startswith("ANTHROPIC_API_KEY: `router.fallback.anthropic_api_key`: a key is")
    assert "s3cret" not in caught.value.message


def test_keys_of_vendors_come_from_their_usual_variables_and_are_not_shown(tmp_path: Path):
    settings = load_with(tmp_path, "", {"ANTHROPIC_API_KEY": "sk-ant-x", "OPENAI_API_KEY": "sk-proj-x"})
    fallback = settings.config.router.fallback
    assert (fallback.anthropic_api_key, fallback.openai_api_key) == ("sk-ant-x", "sk-proj-x")
    shown = redacted(settings.config)
    assert shown["router.fallback.anthropic_api_key"] == shown["router.fallback.openai_api_key"] == "***"
    assert redacted(Config())["router.fallback.openai_api_key"] == ""


@pytest.mark.parametrize("variable", ["ANTHROPIC_API_KEY", "OPENAI_API_KEY"])
def test_a_key_of_ours_in_a_vendors_variable_is_for_clients_and_no_vendor_sees_it(
    tmp_path: Path, variable: str
):
    settings = load_with(tmp_path, "", {variable: "sk-orc-of-this-leader"})
    assert settings.config == load_with(tmp_path, "").config
    with pytest.raises(StartError, match="is a key of flockpy, which no vendor knows"):
        load_with(tmp_path, "router:\n  fallback:\n    anthropic_api_key: sk-orc-of-this-leader\n")


def test_a_configuration_can_be_logged(tmp_path: Path):
    config = load_with(tmp_path, "engine: {vllm_api_key: s3cret}", {"ANTHROPIC_API_KEY": "s3cret"}).config
    assert "s3cret" not in repr(config)
    assert "anthropic_url='https://api.anthropic.com'" in repr(config)
    assert secrets_of(config) == ("s3cret", "s3cret")


def test_text_that_is_no_utf8_names_its_line(tmp_path: Path):
    (tmp_path / "config.yaml").write_bytes(b"listen: ':1'\nlog_level: \xff\n")
    with pytest.raises(StartError, match=r"config.yaml:2: the file is not UTF-8"):
        load({"FLOCK_DATA_DIR": str(tmp_path)})


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path):
    (tmp_path / "config.yaml").mkdir()
    with pytest.raises(StartError, match=r"config.yaml: the file cannot be read: Is a directory"):
        load({"FLOCK_DATA_DIR": str(tmp_path)})


@pytest.mark.parametrize("text", ["", "\n# nothing\n", "---\n", "~\n", "auth:\n  # require_keys: false\n"])
def test_an_empty_file_or_section_changes_nothing(tmp_path: Path, text: str):
    assert load_with(tmp_path, text).config.auth == Config().auth


@pytest.mark.parametrize(
    ("variable", "text", "said"),
    [
        ("FLOCK_LISTEN", "8080", "FLOCK_LISTEN: `listen`: '8080' is not [host]:port"),
        ("FLOCK_REQUIRE_KEYS", "perhaps", "FLOCK_REQUIRE_KEYS: `auth.require_keys`: expected true or false"),
        ("FLOCK_ENGINE", "lama", "FLOCK_ENGINE: `engine.preferred`: expected one of"),
        ("FLOCK_LLAMACPP_ENDPOINT", "ftp://x", "FLOCK_LLAMACPP_ENDPOINT: `engine.llamacpp_endpoint`"),
        ("FLOCK_LLAMACPP_ENDPOINT", "http://x:99999", "FLOCK_LLAMACPP_ENDPOINT: `engine.llamacpp_endpoint`"),
        ("FLOCK_OLLAMA_ENDPOINT", "11434", "FLOCK_OLLAMA_ENDPOINT: `engine.ollama_endpoint`: '11434' is not"),
        (
            "FLOCK_EXTERNAL_ENDPOINTS",
            "http://a:1/v1 ftp://:secret@b",
            "FLOCK_EXTERNAL_ENDPOINTS: `engine.external_endpoints`: 'ftp://:***@b' is not an address",
        ),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(tmp_path: Path, variable: str, text: str, said: str):
    with pytest.raises(StartError) as caught:
        load({"HOME": str(tmp_path), variable: text})
    assert caught.value.message.startswith(said)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", True), ("TRUE", True), ("yes", True), ("0", False), ("No", False), ("off", False)],
)
def test_truth_in_the_environment_has_the_usual_spellings(tmp_path: Path, text: str, value: bool):
    assert load({"HOME": str(tmp_path), "FLOCK_REQUIRE_KEYS": text}).config.auth.require_keys is value


def test_an_empty_or_unknown_variable_counts_as_not_set(tmp_path: Path):
    settings = load({"HOME": str(tmp_path), "FLOCK_LISTEN": " ", "FLOCK_COLOUR_OF_THE_SHED": "red"})
    assert settings.config.listen == ":8080"


def test_numbers_come_from_flags_too(tmp_path: Path):
    settings = load({"HOME": str(tmp_path)}, {"limits.shutdown_seconds": "2.5", "limits.queue_depth": "0"})
    assert (settings.config.limits.shutdown_seconds, settings.config.limits.queue_depth) == (2.5, 0)


def test_a_data_dir_in_the_file_moves_the_data_and_not_the_file(tmp_path: Path):
    (tmp_path / ".flock").mkdir()
    (tmp_path / ".flock/config.yaml").write_text("data_dir: ~/elsewhere\n")
    settings = load({"HOME": str(tmp_path)})
    assert settings.data.root == tmp_path / "elsewhere"
    assert settings.file == tmp_path / ".flock/config.yaml"


def test_paths_are_absolute_and_relative_ones_start_where_they_were_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d").mkdir()
    (tmp_path / "d/config.yaml").write_text(
        "storage:\n  models_dir: models\nengine:\n  llamacpp_path: llama-server\ncatalog_dir: a:~/b\n"
    )
    config = load({"HOME": "/h", "FLOCK_DATA_DIR": "d"}).config
    assert config.data_dir == str(tmp_path / "d")
    assert config.storage.models_dir == str(tmp_path / "d/models")
    assert config.engine.llamacpp_path == "llama-server"
    assert config.catalog_dir == f"{tmp_path}/d/a:/h/b"


def test_a_data_dir_that_is_a_file_is_a_start_error(tmp_path: Path):
    (tmp_path / "f").write_text("")
    with pytest.raises(StartError, match=r"is not a directory|cannot be read: Not a directory"):
        load({"FLOCK_DATA_DIR": str(tmp_path / "f")})


def test_the_data_dir_is_made_for_its_owner_only(tmp_path: Path):
    data = DataDir(tmp_path / "a/b")
    prepare_data_dir(data)
    assert data.root.stat().st_mode & 0o777 == 0o700
    assert data.run.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_data_dir_that_cannot_be_written_is_a_start_error(tmp_path: Path):
    tmp_path.chmod(0o500)
    with pytest.raises(StartError, match="cannot be"):
        prepare_data_dir(DataDir(tmp_path))


def test_a_data_dir_below_a_file_is_a_start_error(tmp_path: Path):
    (tmp_path / "f").write_text("")
    with pytest.raises(StartError, match="cannot be made: Not a directory"):
        prepare_data_dir(DataDir(tmp_path / "f/g"))


@pytest.mark.parametrize(
    ("listen", "keys", "force", "refused"),
    [
        (":8080", "false", "", False),
        ("127.0.0.1:8080", "false", "", False),
        ("[::1]:8080", "false", "", False),
        ("0.0.0.0:8080", "true", "", False),
        ("0.0.0.0:8080", "false", "", True),
        ("[::]:8080", "false", "", True),
        ("192.168.1.5:8080", "false", "0", True),
        ("192.168.1.5:8080", "false", "1", False),
    ],
)
def test_a_leader_without_keys_is_for_this_machine_alone(
    tmp_path: Path, listen: str, keys: str, force: str, refused: bool
):
    environ = {
        "HOME": str(tmp_path),
        "FLOCK_LISTEN": listen,
        "FLOCK_REQUIRE_KEYS": keys,
        "FLOCK_FORCE_OPEN": force,
    }
    settings = load(environ)
    if refused:
        with pytest.raises(StartError, match="FLOCK_LISTEN, FLOCK_REQUIRE_KEYS"):
            refuse_open_door(settings, environ)
    else:
        refuse_open_door(settings, environ)


def test_every_variable_names_a_key_that_exists():
    assert set(ENVIRONMENT.values()) <= set(leaf_types())


def test_flatten_and_unflatten_are_inverse():
    config = unflatten({"engine.defaults.slots": 7, "listen": ":1"})
    assert config.engine.defaults.slots == 7
    assert unflatten(flatten(config)) == config


def test_a_password_in_an_address_is_not_shown():
    config = unflatten({"external_url": "https://flock:s3cret@proxy/flock"})
    assert redacted(config)["external_url"] == "https://flock:***@proxy/flock"
