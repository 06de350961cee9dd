package dev.remask.bench;

import java.math.BigDecimal;
import java.math.MathContext;
import java.util.List;
import java.util.Locale;

/// Charts as SVG elements that stand inside an HTML page and take colours from its style sheet.
final class Svg {
  private static final int WIDTH = 760;
  private static final int LABEL_WIDTH = 300;
  private static final int VALUE_WIDTH = 130;
  private static final int BAR_HEIGHT = 22;
  private static final int PLOT_HEIGHT = 300;
  private static final int MARGIN = 56;
  private static final int TICKS = 5;
  private static final int TICK_DIGITS = 6;
  private static final int COLOURS = 6;
  private static final double TEXT_BASE = 5;

  private Svg() {}

  /// A horizontal bar.
  ///
  /// @param label before it
  /// @param value its length
  /// @param text behind it
  record Bar(String label, double value, String text) {}

  /// Points of one colour, joined by a line.
  ///
  /// @param name in the legend
  /// @param points x, y, and the ends of the range of y
  record Series(String name, List<double[]> points) {}

  /// Horizontal bars, one below the other, as long as their values.
  static String bars(List<Bar> bars) {
    double longest = bars.stream().mapToDouble(Bar::value).max().orElse(1);
    int room = WIDTH - LABEL_WIDTH - VALUE_WIDTH;
    var svg = new StringBuilder(open(Math.max(1, bars.size()) * BAR_HEIGHT));
    for (int i = 0; i < bars.size(); i++) {
      Bar bar = bars.get(i);
      double length = longest > 0 ? room * bar.value() / longest : 0;
      double middle = (i + 0.5) * BAR_HEIGHT;
      svg.append(text(LABEL_WIDTH - 8, middle + TEXT_BASE, "end", bar.label()));
      svg.append(
          "<rect class=\"c0\" x=\"%s\" y=\"%s\" width=\"%s\" height=\"%s\"/>"
              .formatted(LABEL_WIDTH, number(middle - 8), number(Math.max(1, length)), 16));
      svg.append(text(LABEL_WIDTH + length + 6, middle + TEXT_BASE, "start", bar.text()));
    }
    return svg.append("</svg>\n").toString();
  }

  /// Lines over an axis of x, both axes from zero.
  static String lines(List<Series> all, String xName, String yName) {
    double xMost = 1;
    double yMost = 0;
    for (Series series : all) {
      for (double[] point : series.points()) {
        xMost = Math.max(xMost, point[0]);
        yMost = Math.max(yMost, point[3]);
      }
    }
    double xStep = step(xMost);
    double yStep = step(yMost > 0 ? yMost : 1);
    int xTicks = (int) Math.ceil(xMost / xStep);
    int yTicks = (int) Math.max(1, Math.ceil(yMost / yStep));
    xMost = xTicks * xStep;
    yMost = yTicks * yStep;
    int right = WIDTH - MARGIN / 2;
    int bottom = PLOT_HEIGHT - MARGIN;
    var svg = new StringBuilder(open(PLOT_HEIGHT));
    for (int i = 0; i <= yTicks; i++) {
      double y = bottom - (bottom - 16.0) * i / yTicks;
      svg.append(
          "<line class=\"grid\" x1=\"%s\" y1=\"%s\" x2=\"%s\" y2=\"%s\"/>"
              .formatted(MARGIN, number(y), right, number(y)));
      svg.append(text(MARGIN - 6, y + TEXT_BASE, "end", tick(i * yStep)));
    }
    for (int i = 0; i <= xTicks; i++) {
      double x = MARGIN + (right - MARGIN) * (double) i / xTicks;
      svg.append(text(x, bottom + 18, "middle", tick(i * xStep)));
    }
    svg.append(text((MARGIN + right) / 2.0, bottom + 38, "middle", xName));
    svg.append(text(4, 12, "start", yName));
    for (int s = 0; s < all.size(); s++) {
      var path = new StringBuilder();
      String colour = "c" + s % COLOURS;
      for (double[] point : all.get(s).points()) {
        double x = MARGIN + (right - MARGIN) * point[0] / xMost;
        double y = bottom - (bottom - 16) * point[1] / yMost;
        path.append(path.isEmpty() ? "M" : "L").append(number(x)).append(' ').append(number(y));
        svg.append(
            "<line class=\"%s line\" x1=\"%s\" y1=\"%s\" x2=\"%s\" y2=\"%s\"/>"
                .formatted(
                    colour,
                    number(x),
                    number(bottom - (bottom - 16) * point[2] / yMost),
                    number(x),
                    number(bottom - (bottom - 16) * point[3] / yMost)));
        svg.append(
            "<circle class=\"%s\" cx=\"%s\" cy=\"%s\" r=\"3.5\"/>"
                .formatted(colour, number(x), number(y)));
      }
      svg.append("<path class=\"%s line\" d=\"%s\"/>".formatted(colour, path));
      double top = 24 + 18.0 * s;
      svg.append(
          "<rect class=\"%s\" x=\"%s\" y=\"%s\" width=\"12\" height=\"12\"/>"
              .formatted(colour, MARGIN + 12, number(top - 10)));
      svg.append(text(MARGIN + 30, top, "start", all.get(s).name()));
    }
    return svg.append("</svg>\n").toString();
  }

  /// The round number, 1, 2 or 5 times a power of ten, that leaves at most so many ticks.
  static double step(double most) {
    double least = most / TICKS;
    double power = Math.pow(10, Math.floor(Math.log10(least)));
    for (int factor : new int[] {1, 2, 5}) {
      if (factor * power >= least) {
        return factor * power;
      }
    }
    return 10 * power;
  }

  private static String tick(double value) {
    return BigDecimal.valueOf(value)
        .round(new MathContext(TICK_DIGITS))
        .stripTrailingZeros()
        .toPlainString();
  }

  private static String open(int height) {
    return "<svg viewBox=\"0 0 %s %s\" role=\"img\" xmlns=\"http://www.w3.org/2000/svg\">"
        .formatted(WIDTH, height);
  }

  private static String text(double x, double y, String anchor, String content) {
    return "<text x=\"%s\" y=\"%s\" text-anchor=\"%s\">%s</text>"
        .formatted(number(x), number(y), anchor, escaped(content));
  }

  private static String number(double value) {
    return String.format(Locale.ROOT, "%.1f", value);
  }

  /// Text without what HTML would take for its own.
  static String escaped(String text) {
    return text.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace("\"", "&quot;");
  }
}
