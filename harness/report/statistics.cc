#include "harness/report/statistics.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace counterpart::report {
namespace {

constexpr double kMiss = 0.05;                    // 1 − confidence
constexpr double kNormal975 = 1.959963984540054;  // quantile of the two-sided interval

std::string Thousandths(uint64_t value) {
  const std::string rest = std::to_string(value % 1000);
  return std::to_string(value / 1000) + "." + std::string(3 - rest.size(), '0') + rest;
}

// Percent, rounded up to two digits that matter.
std::string BoundPercent(double rate) {
  const double percent = rate * 100;
  int digits = percent >= 10 ? 1 : 2;
  double scale = std::pow(10, digits);
  while (digits < 8 && percent * scale < 1) {
    ++digits;
    scale *= 10;
  }
  return Decimal(std::ceil(percent * scale - 1e-9) / scale, digits);
}

std::string PercentRange(const Interval& rate) {
  int digits = 1;
  // A low end that is not zero must not read as zero.
  while (digits < 6 && rate.low > 0 && rate.low * 100 * std::pow(10, digits) < 0.5) ++digits;
  return Decimal(rate.low * 100, digits) + "–" + Decimal(rate.high * 100, digits) + " %";
}

}  // namespace

Interval Wilson95(uint64_t failures, uint64_t runs) {
  if (runs == 0) return {};
  const double n = static_cast<double>(runs);
  const double p = static_cast<double>(failures) / n;
  const double z2 = kNormal975 * kNormal975;
  const double center = p + z2 / (2 * n);
  const double half = kNormal975 * std::sqrt(p * (1 - p) / n + z2 / (4 * n * n));
  const double scale = 1 + z2 / n;
  // The ends are exact where the formula only comes near.
  return {failures == 0 ? 0 : std::max(0.0, (center - half) / scale),
          failures == runs ? 1 : std::min(1.0, (center + half) / scale)};
}

double ZeroFailuresBound95(uint64_t runs) {
  return runs == 0 ? 1 : -std::expm1(std::log(kMiss) / static_cast<double>(runs));
}

uint64_t RunsForBound95(double bound) {
  if (!(bound > 0 && bound < 1)) return 0;
  const double runs = std::log(kMiss) / std::log1p(-bound);
  return runs >= 1e18 ? 0 : static_cast<uint64_t>(std::ceil(runs - 1e-9));
}

Interval FailureRate95(uint64_t failures, uint64_t runs) {
  return failures == 0 ? Interval{0, ZeroFailuresBound95(runs)} : Wilson95(failures, runs);
}

uint64_t Percentile(std::vector<uint64_t> values, unsigned percent) {
  if (values.empty()) return 0;
  const size_t rank = std::clamp<size_t>((values.size() * percent + 99) / 100, 1, values.size());
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(rank - 1);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

std::string Statement(const Counts& counts) {
  const auto text = [](uint64_t n) { return std::to_string(n); };
  std::string out;
  if (counts.runs() == 0) {
    out = "no counted run";
  } else if (counts.failed > 0) {
    out = text(counts.failed) + "/" + text(counts.runs()) + " failed, ";
    if (counts.inconclusive > 0) out += text(counts.inconclusive) + " not judged, ";
    out += PercentRange(Wilson95(counts.failed, counts.judged())) + " (95 %)";
  } else if (counts.inconclusive > 0) {
    out = text(counts.passed) + "/" + text(counts.runs()) + " passed, " +
          text(counts.inconclusive) + " not judged";
  } else {
    out = text(counts.passed) + "/" + text(counts.runs()) + ", failure rate < " +
          BoundPercent(ZeroFailuresBound95(counts.passed)) + " % (95 %)";
  }
  if (counts.errors > 0) {
    out += ", " + text(counts.errors) + (counts.errors == 1 ? " harness error" : " harness errors");
  }
  return out;
}

std::string Decimal(double value, int digits) {
  char buffer[400];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed, digits).ptr;
  return std::string(buffer, end);
}

std::string Milliseconds(uint64_t us) { return Thousandths(us); }

std::string Seconds(uint64_t us) { return Thousandths((us + 500) / 1000); }

}  // namespace counterpart::report
