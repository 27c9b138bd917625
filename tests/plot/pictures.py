"""What an SVG of `ecgclip.plot` shows, in mm."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np

MM = 25.4 / 72  # of a point
SVG = "{http://www.w3.org/2000/svg}"


class Picture:
    """An SVG file: `lines` (by the id of their element) and `texts`, both in mm from the lower left corner."""

    def __init__(self, path):
        root = ElementTree.parse(path).getroot()
        self.width, self.height = (float(root.get(name).removesuffix("pt")) * MM for name in ("width", "height"))
        self.images = list(root.iter(f"{SVG}image"))
        self.groups = [(g.get("id") or "", g) for g in root.iter(f"{SVG}g")]
        self.texts = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]

    def lines(self, name):
        """The lines, float (points, 2) each, of every element whose id begins with a name; gaps part lines."""
        found = []
        for known, group in self.groups:
            if known.startswith(name):
                for path in group.iter(f"{SVG}path"):
                    for part in path.get("d").split("M")[1:]:
                        numbers = [float(x) for x in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", part)]
                        points = np.array(numbers).reshape(-1, 2) * MM
                        found.append(np.column_stack([points[:, 0], self.height - points[:, 1]]))
        return found

    def names(self, beginning):
        """The ids that begin so."""
        return [name for name, _ in self.groups if name.startswith(beginning)]
