#include "bench/list.h"

#include "bench/ops.h"
#include "bench/place.h"
#include "engine/device.h"

namespace bp::bench {

void list(std::ostream& out) {
  std::vector<Place> places;
  out << "Devices\n";
  for (const Device d : devices()) {
    places.emplace_back(d);
    out << "  " << d << ": " << places.back().name()
        << (places.back().emulated() ? "; checks only, an emulator's time says nothing" : "") << '\n';
  }
  if (!why_no_cuda().empty()) out << "  left out: cuda: " << why_no_cuda() << '\n';

  for (const Op& op : all_ops()) {
    out << '\n' << op.name << ": " << op.what << "\n  sizes " << join(op.axes, " x ") << '\n';
    for (const NamedShape& s : op.shapes) out << "    " << s.name << "  " << to_text(s.sizes) << '\n';
    for (const Place& place : places) {
      if (place.device().index > 0) continue;
      out << "  versions on " << place.device() << '\n';
      const Problem p = op.make(op.shapes.front().sizes, DType::f32);
      for (const Version& v : p.versions(place.kernels(), place.ladders()))
        out << "    " << v.name << ": " << v.idea << '\n';
    }
  }
}

}  // namespace bp::bench
