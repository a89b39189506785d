"""Names of scores for print, and their units."""

LABELS = {
    "loss_content": "content loss",
    "loss_first": "first-token loss",
    "loss_stop": "stop-token loss",
    "loss_completion": "completion loss",
    "kl_content": "KL, content",
    "kl_completion": "KL, completion",
}


def label(score: str) -> str:
    """A score in words."""
    return LABELS.get(score, score.replace("_", " "))


def unit(score: str) -> str:
    """``nat`` (per token) of losses and divergences, ``1`` of shares."""
    return "nat" if score.startswith(("loss_", "kl_")) else "1"


def axis(score: str) -> str:
    """A score in words with its unit, for an axis."""
    return label(score) + (", nats/token" if unit(score) == "nat" else "")
