"""Which texts of a figure lie on one another."""

import itertools

from matplotlib.text import Text

POINT = 2.0


def overlapping(ax):
    """Return pairs of texts one of which lies on the other, when the figure is saved."""
    figure = ax.get_figure()
    figure.draw_without_rendering()
    unseen = {
        tick
        for axis, (low, high) in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, sorted(ax.get_ylim())))
        for tick in axis.get_ticklabels()
        if not low <= tick.get_position()[axis is ax.yaxis] <= high
    }
    boxes = [
        (text.get_text(), text.get_window_extent().padded(-POINT))
        for text in figure.findobj(Text)
        if text.get_text().strip() and text not in unseen
    ]
    boxes = [(text, box) for text, box in boxes if box.width > 0 and box.height > 0]
    return [(a, b) for (a, x), (b, y) in itertools.combinations(boxes, 2) if x.overlaps(y)]
