"""Panels of methods that look inside a network: what it reads is asked, and a text can be typed."""

from __future__ import annotations

from workbench.subjects.reading import Reading


def test_a_panel_of_a_reading_shows_a_typed_text() -> None:
    import widgets

    panel = widgets.panel("attention_patterns", Reading.example())
    assert not panel.reading
    panel.controls["text"].value = "w1 w2 w3 w1"
    panel.controls["n_untrained"].value = 0
    panel.run()
    assert panel.wait(60) and panel.error is None
    assert panel.result.tokens == ("w1", "w2", "w3", "w1")


def test_a_panel_of_a_network_asks_which_texts_and_not_which_rows() -> None:
    import widgets

    panel = widgets.panel("logit_lens", Reading.example().network)
    assert set(panel.reading) == {"corpus", "column", "max_texts", "capture_max_length"}
