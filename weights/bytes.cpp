#include "weights/bytes.h"

namespace bp {

std::string printable(std::string_view text) {
  constexpr std::size_t kLongest = 120;
  std::string out(text.substr(0, kLongest));
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  if (text.size() > kLongest) out += "...";
  return out;
}

std::string_view Cursor::line() {
  const std::string_view rest(reinterpret_cast<const char*>(bytes_.data()) + at_, remaining());
  const std::size_t end = rest.find('\n');
  require(end != std::string_view::npos, what_, ": a line without an end at byte ", at_);
  at_ += end + 1;
  return rest.substr(0, end);
}

}  // namespace bp
