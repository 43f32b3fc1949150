#include "harness/report/json_text.h"

#include "harness/report/safe_text.h"

namespace counterpart::report {
namespace {

constexpr int kDepth = 200;

// A recursive reader that builds nothing: every method takes its part off the front.
class Checker {
 public:
  explicit Checker(std::string_view text) : text_(text) {}

  bool Object() {
    Blank();
    if (text_.empty() || text_.front() != '{' || !Value(0)) return false;
    Blank();
    return text_.empty();
  }

  size_t left() const { return text_.size(); }

 private:
  void Blank() {
    while (!text_.empty() && std::string_view(" \t\r\n").find(text_.front()) != text_.npos) {
      text_.remove_prefix(1);
    }
  }
  bool Eat(char c) {
    if (text_.empty() || text_.front() != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool Word(std::string_view word) {
    if (text_.substr(0, word.size()) != word) return false;
    text_.remove_prefix(word.size());
    return true;
  }
  bool Digits() {
    size_t n = 0;
    while (n < text_.size() && text_[n] >= '0' && text_[n] <= '9') ++n;
    text_.remove_prefix(n);
    return n > 0;
  }
  bool Number() {
    Eat('-');
    if (!Eat('0') && !Digits()) return false;
    if (Eat('.') && !Digits()) return false;
    if (Eat('e') || Eat('E')) {
      if (!Eat('+')) Eat('-');
      return Digits();
    }
    return true;
  }
  bool String() {
    if (!Eat('"')) return false;
    while (!text_.empty()) {
      const auto c = static_cast<unsigned char>(text_.front());
      text_.remove_prefix(1);
      if (c == '"') return true;
      if (c < 0x20) return false;
      if (c != '\\') continue;
      if (text_.empty()) return false;
      const char escape = text_.front();
      text_.remove_prefix(1);
      if (escape == 'u') {
        if (text_.size() < 4 || text_.substr(0, 4).find_first_not_of("0123456789abcdefABCDEF") !=
                                    std::string_view::npos) {
          return false;
        }
        text_.remove_prefix(4);
      } else if (std::string_view("\"\\/bfnrt").find(escape) == std::string_view::npos) {
        return false;
      }
    }
    return false;
  }
  bool Value(int depth) {
    if (depth > kDepth) return false;
    Blank();
    if (text_.empty()) return false;
    switch (text_.front()) {
      case '{':
        return Members(depth, '}', true);
      case '[':
        return Members(depth, ']', false);
      case '"':
        return String();
      case 't':
        return Word("true");
      case 'f':
        return Word("false");
      case 'n':
        return Word("null");
      default:
        return Number();
    }
  }
  bool Members(int depth, char end, bool named) {
    text_.remove_prefix(1);
    Blank();
    if (Eat(end)) return true;
    while (true) {
      Blank();
      if (named) {
        if (!String()) return false;
        Blank();
        if (!Eat(':')) return false;
      }
      if (!Value(depth + 1)) return false;
      Blank();
      if (Eat(end)) return true;
      if (!Eat(',')) return false;
    }
  }

  std::string_view text_;
};

}  // namespace

std::string JsonQuote(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  while (!text.empty()) {
    const char32_t c = TakeCodePoint(text);
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (c < 0x20 || c == 0x7F) {
          out += "\\u00";
          out.push_back(kHex[c >> 4]);
          out.push_back(kHex[c & 15]);
        } else {
          AppendUtf8(c, out);
        }
    }
  }
  return out + "\"";
}

bool IsJsonObject(std::string_view text) { return !JsonObjectFault(text); }

std::optional<size_t> JsonObjectFault(std::string_view text) {
  Checker checker(text);
  if (checker.Object()) return std::nullopt;
  return text.size() - checker.left();
}

void JsonWriter::Separate() {
  if (!fresh_) out_.push_back(',');
  fresh_ = false;
}

JsonWriter& JsonWriter::Open(char bracket) {
  Separate();
  out_.push_back(bracket);
  fresh_ = true;
  return *this;
}

JsonWriter& JsonWriter::Close(char bracket) {
  out_.push_back(bracket);
  fresh_ = false;
  return *this;
}

JsonWriter& JsonWriter::Key(std::string_view name) {
  Separate();
  out_ += JsonQuote(name);
  out_.push_back(':');
  fresh_ = true;
  return *this;
}

JsonWriter& JsonWriter::Text(std::string_view value) { return Raw(JsonQuote(value)); }

JsonWriter& JsonWriter::Number(uint64_t value) { return Raw(std::to_string(value)); }

JsonWriter& JsonWriter::Raw(std::string_view json) {
  Separate();
  out_ += json;
  return *this;
}

JsonWriter& JsonWriter::Field(std::string_view name, std::string_view value) {
  return value.empty() ? *this : Key(name).Text(value);
}

}  // namespace counterpart::report
