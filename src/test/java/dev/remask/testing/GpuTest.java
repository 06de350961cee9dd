package dev.remask.testing;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/// A test that needs an NVIDIA GPU; skipped, with the reason, in a process that cannot use one.
///
/// Its body is the method that also runs on the software devices, so that it is never a test of its
/// own that nobody has seen run; the method may take the GPU's [dev.remask.cuda.DeviceSpec]:
///
/// ```java
/// @OnSoftwareDevices
/// void copies_roundTrip(DeviceSpec device) { … }
///
/// @GpuTest
/// void copies_roundTrip_gpu(DeviceSpec gpu) { copies_roundTrip(gpu); }
/// ```
///
/// To run them: `REMASK_DEVICE=cuda ./mvnw verify -Dgroups=gpu`.
@Target(ElementType.METHOD)
@Retention(RetentionPolicy.RUNTIME)
@Tag("gpu")
@Test
@ExtendWith(GpuTestExtension.class)
public @interface GpuTest {}
