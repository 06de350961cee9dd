package dev.remask.cuda;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.remask.testing.AbiTable;
import dev.remask.testing.TestDevices;
import java.lang.foreign.StructLayout;
import java.lang.reflect.Field;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/// Everything that is bound or laid out here agrees with the C headers, by the committed ABI table.
class AbiTest {
  private static final List<Class<?>> BINDINGS =
      List.of(
          ContextApi.class,
          MemoryApi.class,
          StreamApi.class,
          GraphApi.class,
          ModuleApi.class,
          TensorMapApi.class,
          LogApi.class,
          BlasLtApi.class,
          SoftwareApi.class);

  private final AbiTable table = AbiTable.read();

  @TestFactory
  List<DynamicTest> functions_haveTheParametersOfTheHeaders() throws ReflectiveOperationException {
    Device.open(TestDevices.software());
    int methods = 0;
    for (Class<?> binding : BINDINGS) {
      Class.forName(binding.getName(), true, binding.getClassLoader());
      for (var method : binding.getDeclaredMethods()) {
        if (!method.isSynthetic() && !method.getName().startsWith("has_")) {
          assertTrue(Linking.bound().containsKey(method.getName()), method + " is not bound");
          methods++;
        }
      }
    }
    assertTrue(methods > 50 && Linking.bound().size() > methods, "bound: " + Linking.bound());
    var tests = new ArrayList<DynamicTest>();
    Linking.bound()
        .forEach((name, descriptor) ->
            tests.add(DynamicTest.dynamicTest(name, () -> table.check(name, descriptor))));
    return tests;
  }

  @TestFactory
  List<DynamicTest> structs_haveTheOffsetsOfTheHeaders() throws IllegalAccessException {
    var tests = new ArrayList<DynamicTest>();
    for (Field field : Structs.class.getDeclaredFields()) {
      if (field.get(null) instanceof StructLayout layout) {
        tests.add(DynamicTest.dynamicTest(field.getName(), () -> table.check(layout)));
      }
    }
    assertTrue(tests.size() >= 2);
    return tests;
  }

  @TestFactory
  List<DynamicTest> constants_haveTheValuesOfTheHeaders() throws IllegalAccessException {
    var tests = new ArrayList<DynamicTest>();
    for (Class<?> constants :
        List.of(DriverConstants.class, BlasLtConstants.class, NvtxConstants.class)) {
      for (Field field : constants.getDeclaredFields()) {
        long value = field.getInt(null);
        tests.add(
            DynamicTest.dynamicTest(field.getName(), () -> table.check(field.getName(), value)));
      }
    }
    assertTrue(tests.size() > 40);
    return tests;
  }
}
