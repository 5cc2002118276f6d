// Devices beside the processor, on one whose memory nothing but its own calls may touch (walled_backend.h):
// tensors that move, the cache of memory, training and its state.
#include <doctest/doctest.h>

#include <thread>

#include "engine/backend.h"
#include "tests/walled_case.h"

using namespace bp;
using namespace bp::testing;

namespace {

// Losses, weights and state after some steps.
std::vector<float> train(Device device, int steps) {
  Net net(device);
  AdamW adamw(net.params, [](const Param&) { return Group{}; }, {.clip = 0.1, .average = 0.5});
  std::vector<float> all;
  for (int i = 0; i < steps; ++i) {
    const Tensor x = from_values({2, 8, 8, 3}, wave(384, 0.1 + i), DType::f32, device);
    const Tensor t = sigmoid(from_values({2, 8, 8, 1}, wave(128, 0.2 + i), DType::f32, device));
    const Tensor loss = bce_with_logits(net(x), t);
    backward(loss);
    all.push_back(loss.item());
    all.push_back(static_cast<float>(adamw.step(0.01)));
  }
  for (const auto& [name, tensor] : adamw.state())
    for (const float v : tensor.values()) all.push_back(v);
  for (const Param& p : net.params)
    for (const float v : p.tensor->values()) all.push_back(v);
  return all;
}

}  // namespace

TEST_CASE("devices have names") {
  const Walled walled;
  CHECK(parse_device("cpu") == kHost);
  CHECK(parse_device("cuda") == kWalled);
  CHECK(parse_device("cuda:1") == kSecond);
  CHECK(parse_device("auto") == kWalled);
  CHECK(text(kHost, " ", kSecond, " ", parse_device("simt")) == "cpu cuda:1 simt");
  CHECK_THROWS_WITH_AS(parse_device("cuda:2"), "device cuda:2: there are 2, counted from 0", Error);
  for (const char* unknown : {"", "gpu", "cuda:", "cuda:-1", "cuda:1x", "cuda1", "CPU", "simt:1"})
    CHECK_THROWS_WITH_AS(parse_device(unknown),
                         doctest::Contains("unknown, wanted cpu, cuda, cuda:N, simt or auto"), Error);
  CHECK(devices() == std::vector<Device>{kHost, kWalled, kSecond, {Device::Type::simt}});
  CHECK(std::string(device_info(kSecond).name) == "walled");
}

TEST_CASE("tensors move between devices, and the processor does not read what is elsewhere") {
  const Walled walled;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const std::vector<float> values{1, -2, 3.5f, 0, 8, 16};
    const Tensor host = from_values({3, 2}, values, dtype), there = to(host, kWalled);
    CHECK(there.device() == kWalled);
    CHECK(there.values() == values);
    CHECK(there[1].values() == std::vector<float>{3.5f, 0});  // a view
    CHECK(there[2][1].item() == 16);
    CHECK(to(there, kWalled).same_storage(there));
    CHECK(to(to(there, kSecond), kHost).values() == values);
    CHECK(from_values({3, 2}, values, dtype, kSecond).values() == values);
    CHECK(full({2}, 7, dtype, kWalled).values() == std::vector<float>{7, 7});
    CHECK(zeros({0, 2}, dtype, kWalled).values().empty());
  }
  const Tensor bytes = full({5}, 200, DType::u8);
  CHECK(to(bytes, kWalled).values() == bytes.values());

  const Tensor there = zeros({3}, DType::f32, kWalled);
  CHECK_THROWS_WITH_AS(there.data<float>(), "tensor [3]: read by the processor, but it is on cuda:0", Error);
  CHECK_THROWS_WITH_AS(add(there, zeros({3})), "add: inputs on cuda:0 and cpu", Error);
  CHECK_THROWS_WITH_AS(add(there, zeros({3}, DType::f32, kSecond)), "add: inputs on cuda:0 and cuda:1",
                       Error);
}

TEST_CASE("copies go into memory that is there already, wherever it is") {
  const Walled walled;
  const Tensor from = from_values({4}, std::vector<float>{1, 2, 3, 4});
  for (const Device a : {kHost, kWalled, kSecond})
    for (const Device b : {kHost, kWalled, kSecond}) {
      const Tensor x = to(from, a), y = zeros({2, 4}, DType::f32, b);
      copy_into(y[1], x);
      CHECK(y.values() == std::vector<float>{0, 0, 0, 0, 1, 2, 3, 4});
    }
  CHECK_THROWS_WITH_AS(copy_into(from, zeros({3})), "copy_into: f32 [3] into f32 [4]", Error);
  CHECK_THROWS_WITH_AS(copy_into(from, zeros({4}, DType::bf16)), "copy_into: bf16 [4] into f32 [4]", Error);
}

TEST_CASE("a gradient comes back to the device of its tensor") {
  const Walled walled;
  Tensor x = full({3}, 2).requires_grad();
  const Tensor y = to(x, kWalled);
  backward(sum(mul(y, y)));
  CHECK(x.grad().device() == kHost);
  CHECK(x.grad().values() == std::vector<float>{4, 4, 4});
  const Tensor seed = zeros({3});
  CHECK_THROWS_WITH_AS(backward(to(x, kWalled), seed),
                       doctest::Contains("seed [3] on cpu for loss [3] on cuda:0"), Error);
}

TEST_CASE("training on a device is training on the processor, and never reads its memory") {
  const Walled walled;
  CHECK(train(kWalled, 4) == train(kHost, 4));
}

TEST_CASE("parameters move, and stay what gradients are wanted of") {
  const Walled walled;
  Net net(kHost);
  to_device(net.params, kWalled);
  for (const Param& p : net.params) {
    CHECK(p.tensor->device() == kWalled);
    CHECK(p.tensor->tracks_grad() == p.trained);
  }
  const Tensor before = net.conv;
  to_device(net.params, kWalled);
  CHECK(net.conv.same_storage(before));
  to_device(net.params, kHost);
  CHECK(net.conv.values() == before.values());
}

TEST_CASE("an optimizer's state goes from one device to another") {
  const Walled walled;
  const auto group = [](const Param&) { return Group{}; };
  Net there(kWalled), here(kHost);
  AdamW a(there.params, group, {.average = 0.5}), b(here.params, group, {.average = 0.5});
  backward(sum(there(from_values({1, 8, 8, 3}, wave(192, 0.3), DType::f32, kWalled))));
  a.step(0.1);
  b.load_state(a.state());
  for (const auto& [name, tensor] : b.state()) {
    CHECK(tensor.device() == kHost);
    CHECK(tensor.values() == a.state().at(name).values());
  }
  here.out = to(here.out.detach(), kWalled);
  CHECK_THROWS_WITH_AS(AdamW(here.params, group), "adamw: out is on cuda:0, other parameters on cpu", Error);
}

TEST_CASE("each device keeps its own memory for reuse") {
  const Walled walled;
  const MemoryStats host = memory_stats(), second = memory_stats(kSecond);
  train(kWalled, 2);
  const long allocated = walled_calls().allocated;
  train(kWalled, 2);
  CHECK(walled_calls().allocated == allocated);
  CHECK(memory_stats(kWalled).live == 0);
  CHECK(memory_stats(kWalled).cached > 0);
  CHECK(memory_stats(kSecond).system_calls == second.system_calls);
  CHECK(memory_stats().live == host.live);
  const long released = walled_calls().released;
  release_cached(kWalled);
  CHECK(walled_calls().released > released);
  CHECK(memory_stats(kWalled).cached == 0);
  CHECK_THROWS_WITH_AS(
      empty({1 << 20, 1 << 20}, DType::f32, kWalled),
      "out of memory on cuda:0: asked for 4398046511104 bytes beside 0 in use, 4294967296 free of 4294967296",
      Error);
}

TEST_CASE("a backend that wants no reuse gets every block back at once") {
  const Walled walled(false);
  const long before = walled_calls().allocated;
  const auto live = [] { return walled_calls().allocated - walled_calls().released; };
  const long held = live();
  for (int i = 0; i < 3; ++i) {
    const Tensor x = full({100}, 1, DType::f32, kWalled);
    CHECK(live() == held + 1);
    CHECK(memory_stats(kWalled).live == 400);  // as asked for, so that a wall stands right behind
  }
  CHECK(walled_calls().allocated == before + 3);
  CHECK(live() == held);
  CHECK(memory_stats(kWalled).cached == 0);
}

TEST_CASE("a thread can free what another one made") {
  const Walled walled;
  Tensor x = full({4}, 1, DType::f32, kSecond);
  std::thread([y = std::move(x)]() mutable { y = {}; }).join();
  CHECK(memory_stats(kSecond).live == 0);
}
