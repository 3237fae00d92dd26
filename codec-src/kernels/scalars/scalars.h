/* Elements of arrays in memory, little-endian and not aligned, by NumPy's names of their types. */
#ifndef SCALARS_H
#define SCALARS_H

#include <stdint.h>

#define SCALAR(name, type) typedef type __attribute__((aligned(1), may_alias)) name

SCALAR(i1, int8_t);
SCALAR(i2, int16_t);
SCALAR(i4, int32_t);
SCALAR(i8, int64_t);
SCALAR(u1, uint8_t);
SCALAR(u2, uint16_t);
SCALAR(u4, uint32_t);
SCALAR(u8, uint64_t);
SCALAR(f2, __fp16); /* IEEE 754 binary16: computed as float, rounded when stored */
SCALAR(f4, float);
SCALAR(f8, double);

#endif
