// Prints facts of an ABI, a line each, with every type deduced by the compiler:
//   function cuMemAlloc_v2 i32(pointer, i64)      struct CUlaunchConfig size 56 align 8
//   field CUlaunchConfig.hStream offset 32 size 8 type pointer
//   enum CU_STREAM_NON_BLOCKING 1                 type CUdeviceptr i64
// Types: void, pointer, i8, i16, i32, i64 (enumerations and bool by their size), f32, f64,
// struct:<size>:<alignment> (by value), and <type>[<count>] for arrays.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <type_traits>

namespace remask::abi {

template <typename T>
std::string type_name() {
  if constexpr (std::is_void_v<T>) {
    return "void";
  } else if constexpr (std::is_array_v<T>) {
    return type_name<std::remove_extent_t<T>>() + "[" + std::to_string(std::extent_v<T>) + "]";
  } else if constexpr (std::is_pointer_v<T>) {
    return "pointer";
  } else if constexpr (std::is_floating_point_v<T>) {
    return "f" + std::to_string(8 * sizeof(T));
  } else if constexpr (std::is_integral_v<T> || std::is_enum_v<T>) {
    return "i" + std::to_string(8 * sizeof(T));
  } else {
    static_assert(std::is_class_v<T> || std::is_union_v<T>, "a C type");
    return "struct:" + std::to_string(sizeof(T)) + ":" + std::to_string(alignof(T));
  }
}

template <typename Pointer>
struct FunctionType;
template <typename Result, typename... Parameters>
struct FunctionType<Result (*)(Parameters...)> {
  static std::string name() {
    std::string list;
    ((list += (list.empty() ? "" : ", ") + type_name<Parameters>()), ...);
    return type_name<Result>() + "(" + list + ")";
  }
};

template <typename Pointer>
void function(const char* name) {
  std::printf("function %s %s\n", name, FunctionType<Pointer>::name().c_str());
}

template <typename T>
void structure(const char* name) {
  std::printf("struct %s size %zu align %zu\n", name, sizeof(T), alignof(T));
}

template <typename Field>
void field(const char* structure, const char* name, std::size_t offset) {
  std::printf("field %s.%s offset %zu size %zu type %s\n", structure, name, offset, sizeof(Field),
              type_name<Field>().c_str());
}

template <typename T>
void type(const char* name) {
  std::printf("type %s %s\n", name, type_name<T>().c_str());
}

// Macros such as CU_LAUNCH_PARAM_END are numbers in a pointer's clothes.
template <typename T>
void constant(const char* name, T value) {
  if constexpr (std::is_pointer_v<T>) {
    std::printf("enum %s %llu\n", name,
                static_cast<unsigned long long>(reinterpret_cast<std::uintptr_t>(value)));
  } else {
    std::printf("enum %s %lld\n", name, static_cast<long long>(value));
  }
}

}  // namespace remask::abi

#define REMASK_PRINT_FUNCTION(name) ::remask::abi::function<decltype(&name)>(#name);
#define REMASK_PRINT_STRUCT(name) ::remask::abi::structure<name>(#name);
#define REMASK_PRINT_FIELD(structure, name) \
  ::remask::abi::field<decltype(structure::name)>(#structure, #name, offsetof(structure, name));
#define REMASK_PRINT_TYPE(name) ::remask::abi::type<name>(#name);
#define REMASK_PRINT_CONSTANT(name) ::remask::abi::constant(#name, name);
