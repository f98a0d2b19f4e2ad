"""Money for tokens. Pure, and exact: decimals throughout."""

from dataclasses import dataclass
from decimal import Decimal

MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Tokens:
    """`hit` and `miss` are the two parts of the prompt: found in the model's prefix cache, and read anew."""

    hit: int = 0
    miss: int = 0
    output: int = 0


@dataclass(frozen=True, slots=True)
class Prices:
    """USD per million tokens."""

    cache_hit: Decimal
    cache_miss: Decimal
    output: Decimal

    def cost(self, tokens: Tokens) -> Decimal:
        money = tokens.hit * self.cache_hit + tokens.miss * self.cache_miss + tokens.output * self.output
        return money / MILLION

    def output_for(self, money: Decimal) -> int | None:
        """How many tokens of output it buys; None where they cost nothing."""
        return int(money * MILLION / self.output) if self.output else None
