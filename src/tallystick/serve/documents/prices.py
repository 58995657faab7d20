"""Documents of prices: versions of price books with their mistakes, and estimates."""

from __future__ import annotations

from fractions import Fraction

from tallystick.model.billing.invoices import Line
from tallystick.model.billing.price_book import BookState
from tallystick.serve.documents.values import DecimalText, Document, Exact, Id, ShownInstant, ShownMoney, exact, shown_money
from tallystick.serve.services import BookMistake, Estimate, EstimateRequest


class ShownMistake(Document):
    """One mistake of a price book: its line (0: the whole document), the field, what was found there, what is allowed."""

    line: int
    field: str
    found: str
    allowed: str


class CheckedBook(Document):
    """What checking a price book found; nothing was stored."""

    mistakes: tuple[ShownMistake, ...]


class ShownBook(Document):
    """A version of a price book with the ids of its plans. `text` is the document as written, where one version is asked for."""

    id: str
    version: int
    state: BookState
    effective_from: ShownInstant
    effective_until: ShownInstant | None
    corrects: int | None
    digest: str
    plans: tuple[str, ...]
    text: str | None = None


class NewEstimate(Document):
    """Sizes and traffic to be priced; numbers are texts such as `0.5`, or whole numbers. Without a plan: the default one."""

    plan: Id | None = None
    vcpus: DecimalText
    memory_gib: DecimalText
    disk_gib: DecimalText = "0"
    network_out_gib: DecimalText = "0"
    hours: DecimalText = "730"

    def value(self) -> EstimateRequest:
        """What is to be priced."""
        return EstimateRequest(
            plan_id=self.plan,
            vcpus=Fraction(self.vcpus),
            memory_gib=Fraction(self.memory_gib),
            disk_gib=Fraction(self.disk_gib),
            network_out_gib=Fraction(self.network_out_gib),
            hours=Fraction(self.hours),
        )


class EstimatedLine(Document):
    """One line of an estimate: quantity x unit price, before and after its rounding."""

    charge_id: str
    description: str
    meter: str
    quantity: str
    unit: str
    unit_price: str
    unrounded: Exact
    amount: ShownMoney


class ShownEstimate(Document):
    """What the one formula makes of the sizes: 2 vCPU, 4 GiB, 50 GiB at 730 h on `standard` is 34.20."""

    plan_id: str
    book_id: str
    book_version: int
    lines: tuple[EstimatedLine, ...]
    total: ShownMoney


def shown_mistake(mistake: BookMistake) -> ShownMistake:
    """A mistake as a document."""
    return ShownMistake(line=mistake.line, field=mistake.field, found=mistake.found, allowed=mistake.allowed)


def shown_estimate(estimate: Estimate) -> ShownEstimate:
    """An estimate as a document."""
    return ShownEstimate(
        plan_id=estimate.plan_id,
        book_id=estimate.book_id,
        book_version=estimate.book_version,
        lines=tuple(map(_line, estimate.lines)),
        total=shown_money(estimate.total),
    )


def _line(line: Line) -> EstimatedLine:
    return EstimatedLine(
        charge_id=line.charge_id,
        description=line.description,
        meter=line.meter,
        quantity=exact(line.quantity).decimal,
        unit=line.unit,
        unit_price=exact(line.unit_price).decimal,
        unrounded=exact(line.derivation.unrounded),
        amount=shown_money(line.amount),
    )
