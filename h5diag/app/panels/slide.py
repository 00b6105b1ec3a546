"""Slide one board's bytes over the other's: the score follows, and the hex view shows what lies over what."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets
import traitlets

from h5diag.app.panels.hexview import HexView
from h5diag.app.panels.parts import status_html, with_still
from h5diag.chip import Chip, load_chip
from h5diag.measure.locate import Correlation, agreement_at
from h5diag.memory import MemoryImage
from h5diag.show.locate import correlation_words, signed
from h5diag.show.pages import HexPages, one_view
from h5diag.show.plots import picture, style
from h5diag.show.plots.live import live
from h5diag.show.plots.locate import plot_correlation
from h5diag.show.sheet import Strip, parts_html
from h5diag.show.spans import spans_of, strip_svg
from h5diag.text import size_text

STEP = 16
"""The slider moves by quad-words: content lands on no finer grid."""

HAND = 0.01
"""How near a click must be to a peak, as a share of the whole range: a few pixels."""


class SlideModel(traitlets.HasTraits):  # type: ignore[misc]
    """A correlation with its two images, and the displacement by which the reference is slid."""

    displacement = traitlets.Int(0)

    def __init__(self, correlation: Correlation) -> None:
        super().__init__()
        chip: Chip = correlation.choice.read_as if correlation.choice else load_chip()
        self.correlation = correlation
        self.reference = one_view(chip, correlation.reference or MemoryImage())
        self.dump = one_view(chip, correlation.dump or MemoryImage())
        self.peaks = tuple(sorted(int(d) for d in correlation.displacements[correlation.fraction.argsort()[-40:]]))

    @property
    def score(self) -> tuple[int, int]:
        """Bytes of the dump's content that agree at this displacement, and how many there are."""
        return agreement_at(self.reference, self.dump, self.displacement)

    @property
    def slid(self) -> MemoryImage:
        """The reference at this displacement; what would leave the address space is cut off."""
        start = max(0, -self.displacement)
        return self.reference.crop(start, 1 << 40).shifted(self.displacement)

    def to_peak(self, near: float) -> None:
        """Go to the highest peak that a hand may mean by a displacement, else to the nearest one."""
        c = self.correlation
        height = dict(zip(c.displacements.tolist(), c.fraction.tolist(), strict=True))
        meant = [d for d in self.peaks if abs(d - near) <= (c.span[1] - c.span[0]) * HAND]
        if self.peaks:
            self.displacement = (
                max(meant, key=height.__getitem__) if meant else min(self.peaks, key=lambda d: abs(d - near))
            )


class SlidePanel(widgets.VBox):  # type: ignore[misc]
    """The view on a `SlideModel`: the offset plot, a slider, the score, both boards as strips, and the bytes.

    A click on the plot goes to the nearest peak; the bytes jump to the first place where both agree.

    Parameters
    ----------
    correlation
        Of `h5diag.correlate`, which keeps the images.
    """

    def __init__(self, correlation: Correlation) -> None:
        self.model = SlideModel(correlation)
        low, high = correlation.span
        narrow = style.new_axes(7.0, 4.2)  # fits a laptop's notebook whole
        axes = plot_correlation(correlation, title="Agreement by displacement", ax=narrow)
        self.plot = live(axes, on_click=lambda x, _: self.model.to_peak(x))
        self.slider = widgets.IntSlider(
            min=low // STEP * STEP,
            max=high,
            step=STEP,
            description="slide by",
            readout=False,
            continuous_update=True,
            layout=widgets.Layout(width="min(900px, 90%)"),
        )
        self.exact = widgets.Text(description="exactly", continuous_update=False, layout=widgets.Layout(width="18em"))
        self.best = widgets.Button(description="Best peak", tooltip="Where most bytes agree")
        self.next = widgets.Button(description="Next peak", tooltip="The next peak to the right, then from the left")
        self.score, self.strip, self.hex = widgets.HTML(), widgets.HTML(), HexView()
        super().__init__(
            [
                self.plot,
                self.slider,
                widgets.HBox([self.exact, self.best, self.next]),
                self.score,
                self.strip,
                self.hex,
            ]
        )
        self.slider.observe(lambda change: self._slid(int(change["new"])), "value")
        self.exact.observe(lambda change: self._typed(str(change["new"])), "value")
        self.best.on_click(lambda _: self.model.set_trait("displacement", correlation.winner))
        self.next.on_click(lambda _: self._next())
        self.model.observe(lambda _: self._show(), "displacement")
        self._show()

    def _slid(self, value: int) -> None:
        if abs(self.model.displacement - value) >= STEP:
            self.model.displacement = value

    def _typed(self, text: str) -> None:
        try:
            self.model.displacement = int(text, 16)
        except ValueError:
            self.score.value = status_html("A displacement is hex, such as 0xA6000 or -0x6000.")

    def _next(self) -> None:
        later = [d for d in self.model.peaks if d > self.model.displacement]
        self.model.displacement = (later or list(self.model.peaks) or [0])[0]

    def _show(self) -> None:
        model = self.model
        low, high = self.slider.min, self.slider.max
        self.slider.value = min(max(model.displacement, low), high)
        self.exact.value = signed(model.displacement)
        equal, content = model.score
        names = {m.displacement: m.name for m in model.correlation.marks}
        called = f" ({names[model.displacement]})" if model.displacement in names else ""
        share = f"{100 * equal / content:.3g} %" if content else "nothing"
        self.score.value = status_html(
            f"At displacement {signed(model.displacement)}{called}: {size_text(equal)} of {size_text(content)} of"
            f" content agree, {share}."
        )
        slid = model.slid
        drawing = strip_svg([spans_of(slid), spans_of(model.dump)]) if slid.size or model.dump.size else ""
        alt = "the reference, slid, above the dump"
        self.strip.value = parts_html(Strip(drawing, alt)) if drawing else ""
        pages = HexPages(slid, model.dump, (f"reference, slid by {signed(model.displacement)}", "dump"))
        self.hex.show(pages)
        first = pages.first_equal()
        if first is not None:
            self.hex.jump(first)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Add the offset plot as it is, for an exported notebook that has no kernel."""
        axes, words = plot_correlation(self.model.correlation), correlation_words(self.model.correlation)
        return with_still(super()._repr_mimebundle_(**kwargs), picture(axes, name="offsets", alt=words))
