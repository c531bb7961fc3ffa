"""Who has fallen silent is named once, and again when it is back."""

from streaming.silence import SILENT_S, SilenceWatch


def test_silence_is_told_once_and_its_end_too() -> None:
    told: list[tuple[str, bool]] = []
    watch = SilenceWatch(lambda text, is_bad: told.append((text, is_bad)))
    for silent_s in (float("inf"), 0.1, SILENT_S + 1, SILENT_S + 2, 0.1, 0.2):
        watch.look({"acquire": silent_s, "reduce": 0.1})
    assert [is_bad for _, is_bad in told] == [True, False]
    assert told[0][0].startswith("acquire has been silent for 6 s")
    assert told[1][0] == "acquire is back"


def test_a_process_that_was_never_heard_is_not_missed() -> None:
    told: list[str] = []
    SilenceWatch(lambda text, _: told.append(text)).look({"acquire": float("inf")})
    assert told == []
