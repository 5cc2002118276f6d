// A cursor over bytes that somebody else made: every read is checked against the end, and errors name the
// file.
#pragma once
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "engine/error.h"

namespace bp {

static_assert(std::endian::native == std::endian::little, "files of weights are little-endian");

using ByteSpan = std::span<const std::byte>;

// Text from a file, fit for one line of an error: control characters become '?', long text is cut.
std::string printable(std::string_view text);

class Cursor {
 public:
  // `what` begins the error messages: "file.pth: zip directory".
  Cursor(ByteSpan bytes, std::string what) : bytes_(bytes), what_(std::move(what)) {}

  std::size_t position() const { return at_; }
  std::size_t remaining() const { return bytes_.size() - at_; }

  ByteSpan take(std::uint64_t n) {
    require(n <= remaining(), what_, ": ends early, at byte ", bytes_.size(), " (", n,
            " more wanted at byte ", at_, ")");
    const ByteSpan part = bytes_.subspan(at_, static_cast<std::size_t>(n));
    at_ += part.size();
    return part;
  }
  template <class T>
  T number() {
    static_assert(std::is_trivially_copyable_v<T>);
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::string_view text(std::uint64_t n) {
    const ByteSpan part = take(n);
    return {reinterpret_cast<const char*>(part.data()), part.size()};
  }
  std::string_view line();  // up to '\n', which is taken but not returned

 private:
  ByteSpan bytes_;
  std::string what_;
  std::size_t at_ = 0;
};

}  // namespace bp
