package dev.remask.testing;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// Runs a test on the software device and on the emulator: the method takes a
/// [dev.remask.cuda.DeviceSpec]. Its GPU twin calls the same method, see [GpuTest].
@Target(ElementType.METHOD)
@Retention(RetentionPolicy.RUNTIME)
@ParameterizedTest(name = "{0}")
@MethodSource("dev.remask.testing.TestDevices#softwareDevices")
public @interface OnSoftwareDevices {}
