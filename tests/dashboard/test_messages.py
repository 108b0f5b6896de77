"""Text that others wrote, where Streamlit reads Markdown."""

from dashboard.panels.messages import as_plain


def test_labels_hold_no_markdown() -> None:
    assert as_plain("![x](https://a.b/p)") == r"\!\[x\]\(https\://a\.b/p\)"
    assert as_plain(":red[a]") == r"\:red\[a\]"
    assert as_plain("mobilenetv3") == "mobilenetv3"
