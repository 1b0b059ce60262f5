"""An answer that is no prediction: what was wrong with a request, or why it has to come again."""

from __future__ import annotations

import math


class Refusal(Exception):
    """A request that is not answered with predictions.

    Args:
        status: 4xx for the client's mistakes, 503 for a server that has no room now.
        message: what was expected, what was received.
        retry_after: seconds after which to come again, of a 503.
        close: whether the connection ends with the answer.
    """

    def __init__(
        self, status: int, message: str, *, retry_after: float | None = None, close: bool = False
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.close = status, message, close
        self.retry_after = None if retry_after is None else max(1, math.ceil(retry_after))

    def document(self) -> dict[str, object]:
        """Return the body of the answer."""
        return {"error": {"status": self.status, "message": self.message}}

    def headers(self) -> dict[str, str]:
        """Return the headers of the answer."""
        found = {} if self.retry_after is None else {"retry-after": str(self.retry_after)}
        if self.status == 401:
            found["www-authenticate"] = "Bearer"
        return found | ({"connection": "close"} if self.close else {})
