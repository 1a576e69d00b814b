# bars.gp - A metric of each label, one colour per tag.

lying_bars = 1
template = "lying_bars.gp"
