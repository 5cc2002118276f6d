#include "weights/pickle.h"

#include <unordered_map>

#include "kernels/dtype.h"

namespace bp::pickle {
namespace {

constexpr std::size_t kLargest = 4u << 20;  // ViT-H's is 0.1 MB; bounds the memory that values can take
using Kind = Value::Kind;

class Machine {
 public:
  Machine(const std::string& path, ByteSpan bytes, const std::function<bool(std::string_view)>& allowed)
      : path_(path), in_(bytes, path + ": pickle"), allowed_(allowed) {}

  Document run() {
    while (!step()) {
    }
    return std::move(document_);
  }

 private:
  bool step();  // one opcode; true at the end
  bool step_constant(unsigned char op);
  bool step_container(unsigned char op);

  Value& make(Kind kind) {
    document_.values.push_back({});
    document_.values.back().kind = kind;
    return document_.values.back();
  }
  void push(Value& v) { stack_.push_back(&v); }
  Value& push_new(Kind kind) {
    Value& v = make(kind);
    push(v);
    return v;
  }
  void push_integer(std::int64_t value) { push_new(Kind::integer).integer = value; }
  void push_text(std::uint64_t length) { push_new(Kind::text).text = in_.text(length); }

  std::size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  Value& top() {
    require(stack_.size() > floor(), path_, ": damaged pickle: nothing on the stack at byte ",
            in_.position());
    return *stack_.back();
  }
  Value& pop() {
    Value& v = top();
    stack_.pop_back();
    return v;
  }
  std::vector<const Value*> pop_many(std::size_t n) {
    require(stack_.size() >= floor() + n, path_, ": damaged pickle: ", n, " values wanted at byte ",
            in_.position());
    std::vector<const Value*> items(stack_.end() - static_cast<std::ptrdiff_t>(n), stack_.end());
    stack_.resize(stack_.size() - n);
    return items;
  }
  std::vector<const Value*> pop_to_mark() {
    require(!marks_.empty(), path_, ": damaged pickle: no mark at byte ", in_.position());
    auto items = pop_many(stack_.size() - marks_.back());
    marks_.pop_back();
    return items;
  }
  void push_items(Kind kind, std::vector<const Value*> items) { push_new(kind).items = std::move(items); }

  // Items for the container below them. What is not a plain container (a configuration object) ignores its
  // own.
  void extend(const std::vector<const Value*>& items, Kind kind) {
    Value& target = top();
    require(target.kind == kind || target.kind == Kind::call, path_,
            ": damaged pickle: items for no container at byte ", in_.position());
    require(kind != Kind::dict || items.size() % 2 == 0, path_,
            ": damaged pickle: a key without a value at byte ", in_.position());
    if (target.kind == kind) target.items.insert(target.items.end(), items.begin(), items.end());
  }

  void push_global(std::string_view module, std::string_view name) {
    std::string full = text(module, ".", name);
    require(allowed_(full), path_, ": pickle names ", printable(full),
            "; only tensors of a state dict are read");
    document_.names.push_back(std::move(full));
    push_new(Kind::global).text = document_.names.back();
  }
  void call() {
    const Value& arguments = pop();
    const Value& callee = pop();
    require(callee.kind == Kind::global && arguments.kind == Kind::tuple, path_,
            ": damaged pickle: bad call at byte ", in_.position());
    if (callee.text == "collections.OrderedDict") {
      push_new(Kind::dict);
      return;
    }
    Value& result = push_new(Kind::call);
    result.callee = &callee;
    result.arguments = &arguments;  // not a copy: one tuple can be the argument of many calls
  }
  void push_long(std::uint64_t length) {
    const ByteSpan bytes = in_.take(length);
    if (length > 8) {  // an integer that no size or offset here can be
      push_new(Kind::number);
      return;
    }
    std::uint64_t value =
        length > 0 && std::to_integer<unsigned>(bytes.back()) >= 0x80 ? ~std::uint64_t{0} : 0;
    std::memcpy(&value, bytes.data(), bytes.size());
    push_integer(static_cast<std::int64_t>(value));
  }
  void remember(std::uint64_t slot) { memo_[slot] = &top(); }
  void recall(std::uint64_t slot) {
    const auto it = memo_.find(slot);
    require(it != memo_.end(), path_, ": damaged pickle: memo ", slot, " is empty at byte ", in_.position());
    push(*it->second);
  }

  const std::string& path_;
  Cursor in_;
  const std::function<bool(std::string_view)>& allowed_;
  Document document_;
  std::vector<Value*> stack_;
  std::vector<std::size_t> marks_;
  std::unordered_map<std::uint64_t, Value*> memo_;
};

bool Machine::step() {
  const auto op = in_.number<unsigned char>();
  switch (op) {
    case 0x80: {  // PROTO
      const int version = in_.number<u8>();
      require(version >= 2 && version <= 5, path_, ": pickle protocol ", version, ", wanted 2 to 5");
      break;
    }
    case 0x95:
      in_.take(8);
      break;   // FRAME
    case '.':  // STOP
      document_.root = &pop();
      require(stack_.empty() && marks_.empty(), path_, ": damaged pickle: values are left at its end");
      return true;
    case 'c': {  // GLOBAL
      const std::string_view module = in_.line(), name = in_.line();
      push_global(module, name);
      break;
    }
    case 0x93: {  // STACK_GLOBAL
      const Value &name = pop(), &module = pop();
      require(name.kind == Kind::text && module.kind == Kind::text, path_,
              ": damaged pickle: a global without a name");
      push_global(module.text, name.text);
      break;
    }
    case 'R':
    case 0x81:
      call();
      break;     // REDUCE, NEWOBJ
    case 'b': {  // BUILD: attributes, which no state dict needs
      pop();
      const Kind kind = top().kind;
      require(kind == Kind::call || kind == Kind::dict, path_,
              ": damaged pickle: attributes of no object at byte ", in_.position());
      break;
    }
    case 'Q':
      push_items(Kind::persistent, pop_many(1));
      break;  // BINPERSID
    case 'h':
      recall(in_.number<u8>());
      break;
    case 'j':
      recall(in_.number<std::uint32_t>());
      break;
    case 'q':
      remember(in_.number<u8>());
      break;
    case 'r':
      remember(in_.number<std::uint32_t>());
      break;
    case 0x94:
      remember(memo_.size());
      break;  // MEMOIZE
    case '(':
      marks_.push_back(stack_.size());
      break;
    case '0':
      pop();
      break;
    case '1':
      pop_to_mark();
      break;
    case '2':
      push(top());
      break;
    default:
      require(step_constant(op) || step_container(op), path_, ": pickle opcode ", static_cast<int>(op),
              " at byte ", in_.position() - 1, "; only what a state dict needs is read");
  }
  return false;
}

bool Machine::step_constant(unsigned char op) {
  switch (op) {
    case 'N':
      push_new(Kind::none);
      break;
    case 0x88:
      push_integer(1);
      break;  // NEWTRUE
    case 0x89:
      push_integer(0);
      break;  // NEWFALSE
    case 'J':
      push_integer(in_.number<std::int32_t>());
      break;
    case 'K':
      push_integer(in_.number<u8>());
      break;
    case 'M':
      push_integer(in_.number<std::uint16_t>());
      break;
    case 0x8a:
      push_long(in_.number<u8>());
      break;
    case 0x8b:
      push_long(in_.number<std::uint32_t>());
      break;
    case 'G':
      in_.take(8);
      push_new(Kind::number);
      break;
    case 'U':  // SHORT_BINSTRING, SHORT_BINUNICODE, SHORT_BINBYTES
    case 0x8c:
    case 'C':
      push_text(in_.number<u8>());
      break;
    case 'T':  // BINSTRING, BINUNICODE, BINBYTES
    case 'X':
    case 'B':
      push_text(in_.number<std::uint32_t>());
      break;
    case 0x8d:  // BINUNICODE8, BINBYTES8
    case 0x8e:
      push_text(in_.number<std::uint64_t>());
      break;
    default:
      return false;
  }
  return true;
}

bool Machine::step_container(unsigned char op) {
  switch (op) {
    case ')':
      push_new(Kind::tuple);
      break;
    case 0x85:  // TUPLE1 to TUPLE3
    case 0x86:
    case 0x87:
      push_items(Kind::tuple, pop_many(op - 0x84u));
      break;
    case 't':
      push_items(Kind::tuple, pop_to_mark());
      break;
    case ']':
    case 0x8f:
      push_new(Kind::list);
      break;  // EMPTY_LIST, EMPTY_SET
    case 'a':
      extend(pop_many(1), Kind::list);
      break;
    case 'e':
    case 0x90:
      extend(pop_to_mark(), Kind::list);
      break;  // APPENDS, ADDITEMS
    case '}':
      push_new(Kind::dict);
      break;
    case 's':
      extend(pop_many(2), Kind::dict);
      break;
    case 'u':
      extend(pop_to_mark(), Kind::dict);
      break;
    default:
      return false;
  }
  return true;
}

}  // namespace

Document read(const std::string& path, ByteSpan bytes, const std::function<bool(std::string_view)>& allowed) {
  require(bytes.size() <= kLargest, path, ": pickle of ", bytes.size(), " bytes, wanted at most ", kLargest);
  return Machine(path, bytes, allowed).run();
}

}  // namespace bp::pickle
