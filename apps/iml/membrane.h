// The smoothest continuation of known values into a region: Laplace's equation with the known values as its
// border. Spread over the difference of two images it is Poisson blending: Perez, Gangnet, Blake, "Poisson
// Image Editing" (SIGGRAPH 2003), equation 2 with the donor's gradients as guidance.
#pragma once
#include <vector>

#include "kernels/dtype.h"

namespace bp {

// Up to four channels of a pixel in one vector register.
typedef float Pixel4 __attribute__((vector_size(16)));

enum class Role : u8 { known, wanted, ignored };  // ignored: neither read nor written

struct Field {
  i64 height = 0, width = 0;
  std::vector<Pixel4> values;
  std::vector<Role> roles;

  Field(i64 h, i64 w)
      : height(h),
        width(w),
        values(static_cast<std::size_t>(h * w)),
        roles(static_cast<std::size_t>(h * w)) {}
};

// Sets the wanted values; beyond the edges of the field and towards ignored places they do not change (zero
// normal derivative). Coarse to fine, with Gauss-Seidel relaxation at every level: the result is near the
// solution, not exact. Wanted values that are connected to no known one become some constant.
void spread(Field& field);

}  // namespace bp
