#include "harness/report/safe_text.h"

#include <algorithm>

namespace counterpart::report {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

bool ChangesDirection(char32_t c) {
  return c == 0x200E || c == 0x200F || c == 0x061C || (c >= 0x202A && c <= 0x202E) ||
         (c >= 0x2066 && c <= 0x2069);
}

char32_t AsSeen(char32_t c) {
  if (c == '\n' || c == '\t') return c;
  if (c < 0x20) return 0x2400 + c;
  if (c == 0x7F) return 0x2421;
  const bool noncharacter = (c & 0xFFFE) == 0xFFFE || (c >= 0xFDD0 && c <= 0xFDEF);
  // U+2028 and U+2029 break lines in places that look for them.
  const bool acts = (c >= 0x80 && c < 0xA0) || c == 0x2028 || c == 0x2029 || ChangesDirection(c);
  return acts || noncharacter ? kReplacement : c;
}

template <class Map>
std::string Rewrite(std::string_view bytes, size_t limit, Map map) {
  std::string out;
  out.reserve(std::min(bytes.size(), limit));
  const size_t size = bytes.size();
  while (!bytes.empty()) {
    std::string_view rest = bytes;
    const char32_t c = map(TakeCodePoint(rest));
    if (size - rest.size() > limit) {
      return out + "… (" + std::to_string(bytes.size()) + " bytes more)";
    }
    AppendUtf8(c, out);
    bytes = rest;
  }
  return out;
}

}  // namespace

char32_t TakeCodePoint(std::string_view& bytes) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned char lead = byte(0);
  size_t length = 0;
  char32_t c = 0;
  // Bounds of the second byte: they exclude overlong forms, surrogates and what is too large.
  unsigned char low = 0x80, high = 0xBF;
  if (lead < 0x80) {
    bytes.remove_prefix(1);
    return lead;
  }
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2;
    c = lead & 0x1F;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
    c = lead & 0x0F;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
    c = lead & 0x07;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  }
  size_t taken = 1;
  while (taken < length && taken < bytes.size() && byte(taken) >= low && byte(taken) <= high) {
    c = (c << 6) | (byte(taken) & 0x3F);
    low = 0x80;
    high = 0xBF;
    ++taken;
  }
  bytes.remove_prefix(taken);
  return length != 0 && taken == length ? c : kReplacement;
}

void AppendUtf8(char32_t c, std::string& out) {
  const auto put = [&](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | (c >> 6));
    put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | (c >> 12));
    put(0x80 | ((c >> 6) & 0x3F));
    put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | (c >> 18));
    put(0x80 | ((c >> 12) & 0x3F));
    put(0x80 | ((c >> 6) & 0x3F));
    put(0x80 | (c & 0x3F));
  }
}

std::string SafeText(std::string_view bytes, size_t limit) {
  return Rewrite(bytes, limit, [](char32_t c) { return c; });
}

std::string Printable(std::string_view bytes, size_t limit) {
  return Rewrite(bytes, limit, AsSeen);
}

std::string OneLine(std::string_view bytes, size_t limit) {
  const std::string text = Printable(bytes, limit);
  std::string out;
  for (const char c : text) {
    if (c != ' ' && c != '\n' && c != '\t') {
      out.push_back(c);
    } else if (!out.empty() && out.back() != ' ') {
      out.push_back(' ');
    }
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

size_t Columns(std::string_view utf8) {
  return static_cast<size_t>(std::count_if(utf8.begin(), utf8.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

}  // namespace counterpart::report
