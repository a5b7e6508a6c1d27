"""The corpus of requests keeps shapes, and neither machine nor key."""

from tests.clients.scrubbing import LONGEST, scrubbed

ONE, OTHER = "01a200c2-08be-7dd1-99b6-d26f9ec0ff41", "403d8583-c8f4-4186-b0c2-24f8627362b3"


def test_places_ids_and_keys_are_replaced_and_shapes_stay() -> None:
    body = {
        "tools": [{"description": "x" * 9999}],
        "data": "y" * 9999,
        "ids": [ONE, OTHER, ONE],
        "n": [1, None, True],
    }
    request = {
        "method": "POST",
        "path": "/v1/messages?beta=true",
        "headers": {"authorization": "Bearer abc", "host": "127.0.0.1:1", "session-id": OTHER},
        "body": {**body, "cwd": "/srv/there/file"},
    }
    kept = scrubbed(request, {"/srv/there": "/project", "abc": "KEY"})
    assert set(kept["headers"]) == {"authorization", "session-id"}
    assert kept["headers"]["authorization"] == "Bearer KEY"
    said = kept["body"]
    assert (said["cwd"], said["n"], said["data"]) == ("/project/file", [1, None, True], body["data"])
    assert len(said["tools"][0]["description"]) == LONGEST + 1
    assert said["ids"][0] == said["ids"][2] != said["ids"][1] == kept["headers"]["session-id"]
