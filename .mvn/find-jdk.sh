# shellcheck shell=sh
# Finds a JDK 25 or newer and exports its folder as JAVA_HOME. POSIX sh.
#
# ./remask and ./mvnw source this file; run by itself (`sh .mvn/find-jdk.sh`) it prints the folder.
# Where none is found it says what to install and ends the shell that sourced it with status 3.
#
# In this order: REMASK_JAVA_HOME (must be right if it is set), JAVA_HOME, `java` on the path, then
# the usual folders, where 25 (which Remask is tested with) goes before newer ones. Tests replace
# those folders by REMASK_JDK_ROOTS (folders of JDK homes, separated by colons).

# Prints the version of the JDK in folder $1, "25.0.3"; nothing if there is no complete JDK.
remask_jdk_version() {
  if [ -x "$1/bin/java" ] && [ -x "$1/bin/javac" ] && [ -r "$1/release" ]; then
    sed -n 's/^JAVA_VERSION="\{0,1\}\([0-9][0-9.]*\).*/\1/p' "$1/release"
  fi
}

# Whether version $1 is 25 or newer.
remask_jdk_suits() {
  [ -n "$1" ] && [ "${1%%.*}" -ge 25 ]
}

# Prints a number by which version $1 is compared: larger is better; 25 beats everything newer, of
# those the oldest is best.
remask_jdk_rank() {
  echo "$1" | awk -F. '{ print ($1 == 25 ? 9000000 : (1000 - $1) * 1000) + $2 * 100 + $3 }'
}

# Prints the home of the `java` on the path, links resolved.
remask_jdk_on_path() {
  remask_java=$(command -v java) || return 0
  remask_java=$(readlink -f "$remask_java" 2>/dev/null || echo "$remask_java")
  remask_home=${remask_java%/bin/java}
  if [ ! -r "$remask_home/release" ]; then # a wrapper script: only Java itself knows
    remask_home=$("$remask_java" -XshowSettings:properties -version 2>&1 |
      sed -n 's/^ *java\.home = //p')
  fi
  echo "$remask_home"
}

# Prints candidates, one a line.
remask_jdk_folders() {
  if [ -n "${REMASK_JDK_ROOTS+set}" ]; then
    echo "$REMASK_JDK_ROOTS" | tr : '\n' | while IFS= read -r remask_root; do
      printf '%s\n' "$remask_root"/*
    done
    return 0
  fi
  printf '%s\n' /usr/lib/jvm/* /usr/java/* /opt/* /opt/java/* \
    "$HOME"/.sdkman/candidates/java/* "$HOME"/.jdks/* \
    /Library/Java/JavaVirtualMachines/*/Contents/Home
  if [ -x /usr/libexec/java_home ]; then
    /usr/libexec/java_home -v 25+ 2>/dev/null || :
  fi
}

# Prints the home of the best JDK in the usual folders.
remask_jdk_installed() {
  remask_best=0
  remask_jdk_folders | {
    remask_found=
    while IFS= read -r remask_home; do
      remask_version=$(remask_jdk_version "$remask_home")
      remask_jdk_suits "$remask_version" || continue
      remask_rank=$(remask_jdk_rank "$remask_version")
      if [ "$remask_rank" -gt "$remask_best" ]; then
        remask_best=$remask_rank
        remask_found=$remask_home
      fi
    done
    printf '%s\n' "$remask_found"
  }
}

# Prints the home to use, or nothing.
remask_find_jdk() {
  for remask_home in "${JAVA_HOME:-}" "$(remask_jdk_on_path)"; do
    if [ -n "$remask_home" ] && remask_jdk_suits "$(remask_jdk_version "$remask_home")"; then
      printf '%s\n' "$remask_home"
      return 0
    fi
  done
  remask_jdk_installed
}

if [ -n "${REMASK_JAVA_HOME:-}" ]; then
  if ! remask_jdk_suits "$(remask_jdk_version "$REMASK_JAVA_HOME")"; then
    echo "remask: REMASK_JAVA_HOME=$REMASK_JAVA_HOME is not the folder of a JDK 25 or newer" >&2
    exit 3
  fi
  JAVA_HOME=$REMASK_JAVA_HOME
else
  HOME=${HOME:-/}
  remask_chosen=$(remask_find_jdk)
  if [ -z "$remask_chosen" ]; then
    echo "remask: no JDK 25 or newer found. Install one (Debian, Ubuntu, Fedora: the package of" \
      "Temurin 25 from adoptium.net; SDKMAN: sdk install java 25-tem) or set REMASK_JAVA_HOME to" \
      "its folder" >&2
    exit 3
  fi
  JAVA_HOME=$remask_chosen
fi
export JAVA_HOME

# Heap arrays pinned for native code can be corrupted by G1 there (JDK-8377811). Said once, not
# again by the Maven that the launcher starts.
case $(remask_jdk_version "$JAVA_HOME") in
  25 | 25.0 | 25.0.[012])
    if [ -z "${REMASK_JDK_WARNED:-}" ]; then
      echo "remask: warning: the JDK in $JAVA_HOME is older than 25.0.3, which fixes a memory" \
        "corruption (JDK-8377811)" >&2
      REMASK_JDK_WARNED=1
      export REMASK_JDK_WARNED
    fi
    ;;
esac

case ${0##*/} in
  find-jdk.sh) printf '%s\n' "$JAVA_HOME" ;;
esac
