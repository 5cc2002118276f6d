// Reads a pickle as data. Nothing is imported, called or executed: a global is only its name, and a call is
// kept as {callee, arguments} for the caller to understand. Opcodes: those that Python's pickle protocols 2
// to 5 use for plain containers (https://github.com/python/cpython/blob/main/Lib/pickletools.py).
#pragma once
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "weights/bytes.h"

namespace bp::pickle {

struct Value {
  enum class Kind : std::uint8_t {
    none,
    integer,     // also True and False
    text,        // also bytes
    number,      // a float; its value is not kept
    tuple,       // items
    list,        // items (sets too)
    dict,        // items: key, value, key, value ...; an OrderedDict too
    global,      // text: "module.name"
    call,        // callee(*arguments)
    persistent,  // items: {the id}
  };
  Kind kind = Kind::none;
  std::int64_t integer = 0;
  std::string_view text;  // into the pickle; a global's into the Document
  std::vector<const Value*> items;
  const Value *callee = nullptr, *arguments = nullptr;
};

// Owns the values; they may refer to each other in circles.
struct Document {
  std::deque<Value> values;
  std::deque<std::string> names;
  const Value* root = nullptr;
};

// Throws Error, beginning with `path`, for an unknown opcode, a global that `allowed` refuses (named in the
// message), anything malformed, and a pickle of more than 4 MB.
Document read(const std::string& path, ByteSpan bytes, const std::function<bool(std::string_view)>& allowed);

}  // namespace bp::pickle
