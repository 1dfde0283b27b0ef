"""The page of the explorer, made with panel and bokeh, which are imported when one is made."""

from __future__ import annotations

import math
import signal
import threading
from typing import Any

import numpy as np

from ufm._extras import require
from ufm.explorer.maps import phase_map
from ufm.explorer.networks import StoredNetworks, stored_networks
from ufm.explorer.state import ARCHITECTURES, LOSSES, RANGES, State
from ufm.explorer.view import View, view_of
from ufm.phases import PHASES

__all__ = ["app", "serve"]

#: Colours of the phases none, partial and total, as in ``ufm.plot_phase_diagram``.
COLOURS = ("#f4e9cd", "#77aca2", "#2f4b63")
EDGE, INK = "#b3261e", "#2f4b63"
#: Diverging, from cosine -1 by 0 to 1.
COSINES = ("#8c510a", "#bf812d", "#dfc27d", "#f6e8c3", "#f5f5f5", "#c7eae5", "#80cdc1", "#35978f", "#01665e")
#: What was trained: its name, mark and colour.
BRANCHES = {
    "explicit": ("explicit", "circle", "#b3261e"),
    "identity": ("DEQ from A = ρI", "triangle", "#01665e"),
    "zero": ("DEQ from A = 0", "square", "#bf812d"),
}
FIGURE_STYLE = {"flex": "1 1 310px", "max-width": "460px", "min-width": "0"}


def app(**state: Any) -> Any:
    """The explorer as a panel object: shown in a notebook, or served.

    In a notebook, ``panel.extension()`` in a cell above lets sliders speak to the kernel.

    Args:
        **state: where the sliders start, see :class:`State`.

    Raises:
        TypeError, ValueError: see :class:`State`.
        MissingExtraError: panel is not installed.

    >>> app(rho=1.5)
    Traceback (most recent call last):
        ...
    ValueError: rho must be between 0 and 0.99, got 1.5
    """
    start = State(**state)
    require("panel", extra="explore")
    return _Page(start).layout


def serve(start: State, *, port: int = 0, show: bool = True) -> None:
    """Serve the page on this machine alone until the process is interrupted; prints its address first.

    Args:
        start: where the sliders start when the address does not say.
        port: 0 for any that is free.
        show: open it in the browser.

    Raises:
        TypeError, ValueError: no state, or a port that is none.
        OSError: the port is taken.
        MissingExtraError: panel is not installed.

    >>> serve(State(), port=-1)
    Traceback (most recent call last):
        ...
    ValueError: port must be between 0 and 65535, got -1
    """
    if not isinstance(start, State):
        raise TypeError(f"start must be a State, got {type(start).__name__}")
    if not 0 <= port <= 65535:
        raise ValueError(f"port must be between 0 and 65535, got {port}")
    panel = require("panel", extra="explore")
    interrupt = signal.getsignal(signal.SIGINT)
    server = panel.serve(
        {"/": lambda: _session(start)},
        address="127.0.0.1",
        port=port,
        websocket_origin="127.0.0.1" if port == 0 else f"127.0.0.1:{port}",
        title="ufm explore",
        show=False,
        start=False,
        verbose=False,
    )
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, interrupt)  # panel's own ends the server as if all were done
    address = f"http://127.0.0.1:{server.port}/"
    server._tornado.websocket_origins.add(f"127.0.0.1:{server.port}")
    print(f"{address}{'?' if start.query() else ''}{start.query()}", flush=True)
    server.start()
    if show:
        server.show("/")
    try:
        server.io_loop.start()
    finally:
        server.stop()


def _session(start: State) -> Any:
    """The page of one visitor, at the state of the address."""
    import panel as pn

    location, trouble = pn.state.location, None
    if location is not None and location.search:
        try:
            start = State.of_query(location.search)
        except ValueError as error:
            trouble = f"The address was not understood: {error}"
    return _Page(start, location, trouble).layout


class _Page:
    """Widgets, figures and how the ones move the others."""

    def __init__(self, start: State, location: Any = None, trouble: str | None = None) -> None:
        import panel as pn

        self.location = location
        self.choices = {
            "architecture": pn.widgets.Select(
                options=list(ARCHITECTURES), value=start.architecture, label="architecture"
            ),
            "loss": pn.widgets.Select(options={text: k for k, text in LOSSES.items()}, value=start.loss, label="loss"),
        }
        self.sliders = {name: _slider(name, getattr(start, name)) for name in RANGES}
        self.words = pn.pane.Markdown("", sizing_mode="stretch_width")
        self.figures = _Figures()
        for widget in (*self.choices.values(), *self.sliders.values()):
            widget.sizing_mode = "stretch_width"
            widget.param.watch(lambda _: self.update(), "value")
        self.layout = self._laid_out(trouble)
        self.update()

    def state(self) -> State:
        values: dict[str, Any] = {name: widget.value for name, widget in self.choices.items()}
        return State(**values | {name: _value(name, slider.value) for name, slider in self.sliders.items()})

    def update(self) -> None:
        state = self.state()
        for name, slider in self.sliders.items():
            slider.visible = name in state.roles
        seen = view_of(state)
        self.words.object = _words(seen)
        self.figures.show(seen)
        if self.location is not None:
            self.location.search = f"?{state.query()}" if state.query() else ""

    def _laid_out(self, trouble: str | None) -> Any:
        import panel as pn

        controls = pn.Column(
            pn.pane.Markdown("# Two groups of classes\nThe optimum where the sliders stand; the address bar holds it."),
            *([pn.pane.Alert(trouble, alert_type="warning")] if trouble else []),
            *self.choices.values(),
            *self.sliders.values(),
            self.words,
            styles={"flex": "1 1 280px", "max-width": "460px", "min-width": "0"},
        )
        cells = [[pn.pane.Bokeh(figure, sizing_mode="stretch_width")] for figure in self.figures.all]
        cells[-1].append(pn.pane.Markdown(f"[Set the sliders to these networks](?{self.figures.stored.state.query()})"))
        columns = [pn.Column(*cell, sizing_mode="stretch_width", styles=FIGURE_STYLE) for cell in cells]
        figures = pn.FlexBox(*columns, gap="12px", sizing_mode="stretch_width")
        beside = pn.Column(figures, sizing_mode="stretch_width", styles={"flex": "4 1 640px", "min-width": "0"})
        return pn.FlexBox(controls, beside, gap="12px", sizing_mode="stretch_width")


def _slider(name: str, value: float) -> Any:
    """A slider over a parameter's range, over its decadic logarithm where it goes by ratios."""
    import panel as pn
    from bokeh.models import CustomJSTickFormatter

    low, high, by_ratios, text = RANGES[name]
    label = f"{name}, {text}"
    if name in ("K_A", "K_B"):
        return pn.widgets.IntSlider(label=label, start=int(low), end=int(high), value=int(value))
    if not by_ratios:
        return pn.widgets.FloatSlider(label=label, start=low, end=high, step=0.01, value=value)
    shown = CustomJSTickFormatter(code="return parseFloat((10 ** tick).toPrecision(4)).toString()")
    ends = {"start": math.log10(low), "end": math.log10(high), "value": math.log10(value)}
    return pn.widgets.FloatSlider(label=label, step=0.01, format=shown, **ends)


def _value(name: str, position: float) -> float:
    """The parameter at a slider's position, within its range."""
    low, high, by_ratios, _ = RANGES[name]
    if not by_ratios:
        return position
    return min(max(float(f"{10**position:.10g}"), low), high)


def _words(seen: View) -> str:
    """The figures of the optimum, as a table."""
    threshold = "none: a single minority class" if seen.threshold is None else f"{seen.threshold:.6g}"
    rows = {
        "phase": f"**{seen.phase}**",
        "collapse from R* =": threshold,
        "optimal value": f"{seen.value:.8g}",
        "global optimum": "yes" if seen.is_global else f"no proof: {seen.warning}",
        "multiplier μ": f"{seen.multiplier:.6g}",
    }
    measures = {name.replace("_", " "): "-" if v is None else f"{v:.6g}" for name, v in seen.measures.items()}
    body = "\n".join(f"| {name} | {value} |" for name, value in {**rows, **measures}.items())
    return f"| optimum | |\n|---|---|\n{body}"


class _Figures:
    """The figures: made once, their data replaced as the sliders move."""

    def __init__(self) -> None:
        from bokeh.models import ColumnDataSource

        stored = stored_networks()
        self.stored = stored
        names = ("features", "classifier", "values", "map", "curve", "point", "here")
        self.sources = {name: ColumnDataSource() for name in names}
        empty_image = {"image": [np.zeros((1, 1))], "size": [1]}
        self.sources["features"].data = self.sources["classifier"].data = empty_image
        self.sources["values"].data = {"index": [], "value": []}
        self.sources["map"].data = {"image": [np.zeros((1, 1))], "y": [0.0], "dh": [1.0]}
        for name in ("curve", "point", "here"):
            self.sources[name].data = {"x": [], "y": []}
        self.heat = [
            _heat_map("Class means, cosines", self.sources["features"]),
            _heat_map("Classifier, cosines", self.sources["classifier"]),
        ]
        self.map = _map_figure(self.sources)
        self.all = [*self.heat, _spectrum(self.sources["values"]), self.map, _networks(stored, self.sources["here"])]

    def show(self, seen: View) -> None:
        state = seen.state
        count = state.K_A + state.K_B
        for figure, name in zip(self.heat, ("features", "classifier"), strict=True):
            self.sources[name].data = {"image": [getattr(seen, name)], "size": [count]}
            figure.x_range.end, figure.y_range.start = count, count
        self.sources["values"].data = {"index": np.arange(1, count + 1), "value": seen.singular_values}
        self._show_map(state)
        here = (state.n_B, seen.measures["s_B"]) if self.stored.matches(state) else None
        self.sources["here"].data = {"x": [], "y": []} if here is None else {"x": [here[0]], "y": [here[1]]}

    def _show_map(self, state: State) -> None:
        found = phase_map(state)
        low, high = np.log10(found.strengths[[0, -1]])
        self.sources["map"].data = {"image": [found.phases], "y": [low], "dh": [high - low]}
        x, y = np.log10(found.curve).T
        self.sources["curve"].data = {"x": x, "y": y}
        strength = getattr(state, found.name)
        self.sources["point"].data = {"x": [math.log10(state.R)], "y": [math.log10(strength)]}
        self.map.y_range.start, self.map.y_range.end = low, high
        self.map.yaxis.axis_label = f"{found.name}, {RANGES[found.name].text}"


def _figure(title: str, **options: Any) -> Any:
    from bokeh.plotting import figure

    options = {"height": 300, "sizing_mode": "stretch_width", "toolbar_location": None, "tools": ""} | options
    return figure(title=title, **options)


def _powers(axis: Any) -> None:
    """Label an axis of decadic logarithms by the numbers."""
    from bokeh.models import CustomJSTickFormatter, SingleIntervalTicker

    axis.ticker = SingleIntervalTicker(interval=1)
    axis.formatter = CustomJSTickFormatter(code="return parseFloat((10 ** tick).toPrecision(3)).toString()")


def _heat_map(title: str, source: Any) -> Any:
    from bokeh.models import LinearColorMapper, Range1d

    plot = _figure(title, x_range=Range1d(0, 1), y_range=Range1d(1, 0), tools="hover", tooltips=[("cosine", "@image")])
    colours = LinearColorMapper(palette=list(COSINES), low=-1, high=1)
    drawn = plot.image(image="image", x=0, y=0, dw="size", dh="size", color_mapper=colours, source=source)
    plot.add_layout(drawn.construct_color_bar(width=10), "right")
    plot.xaxis.axis_label, plot.yaxis.axis_label = "class, majority first", "class"
    plot.grid.visible = False
    return plot


def _spectrum(source: Any) -> Any:
    plot = _figure("Singular values of the logits", tools="hover", tooltips=[("value", "@value")])
    plot.vbar(x="index", top="value", width=0.8, color=INK, source=source)
    plot.xaxis.axis_label, plot.yaxis.axis_label = "index", "singular value"
    plot.y_range.start = 0
    return plot


def _map_figure(sources: dict[str, Any]) -> Any:
    from bokeh.models import LinearColorMapper, Range1d

    width = math.log10(RANGES["R"].high)
    plot = _figure("Phases, and where the sliders stand", x_range=Range1d(0, width), y_range=Range1d(0, 1), height=340)
    colours = LinearColorMapper(palette=list(COLOURS), low=0, high=len(PHASES) - 1)
    plot.image(image="image", x=0, y="y", dw=width, dh="dh", color_mapper=colours, source=sources["map"])
    for phase, colour in zip(PHASES, COLOURS, strict=True):
        plot.scatter(
            [math.nan], [math.nan], marker="square", size=12, color=colour, line_color="#666", legend_label=str(phase)
        )
    plot.line("x", "y", color=EDGE, line_width=2, source=sources["curve"], legend_label="R*")
    plot.scatter(
        "x",
        "y",
        size=14,
        fill_color="white",
        line_color="black",
        line_width=3,
        source=sources["point"],
        legend_label="here",
    )
    plot.xaxis.axis_label = "R, imbalance n_A/n_B"
    _powers(plot.xaxis)
    _powers(plot.yaxis)
    plot.add_layout(plot.legend[0], "below")
    plot.legend.orientation = "horizontal"
    return plot


def _networks(stored: StoredNetworks, here: Any) -> Any:
    counts = np.linspace(1, 40, 157)
    state = stored.state
    plot = _figure(f"Trained on digits, n_A = {stored.majority_count}, λ = {state.lambda_W:.4f}", height=340)
    plot.line(counts, stored.theory(counts), color="#b3261e", legend_label="theory, explicit")
    plot.line(counts, stored.theory(counts, state.rho), color="#01665e", legend_label=f"theory, ρ = {state.rho:g}")
    for branch, (text, mark, colour) in BRANCHES.items():
        n, s = stored.measured(branch).T
        plot.scatter(n, s, marker=mark, size=6, color=colour, fill_alpha=0.4, legend_label=text)
    plot.scatter("x", "y", size=14, fill_color="white", line_color="black", line_width=3, source=here)
    plot.xaxis.axis_label, plot.yaxis.axis_label = "n_B, samples of a minority class", "s_B"
    plot.add_layout(plot.legend[0], "below")
    plot.legend.ncols = 2
    return plot
