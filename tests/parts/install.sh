#!/usr/bin/env bash
# Installs the real counterparts of the end-to-end tests into .parts/, from the package registries' ordinary clients.
#
#   tests/parts/install.sh            the parts that the tests need
#   tests/parts/install.sh s3 fluent  these parts only
#   tests/parts/install.sh --list     what there is, and what is installed
#
# Versions are pinned here and in the files beside this one. A part that is installed in that version is left alone;
# several runs at once wait for each other, part by part.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
parts=$(cd "$here/../.." && pwd)/.parts

MINIO_VERSION=v0.0.0-20260212201848-7aac2a2c5b7c
VERSITYGW_VERSION=v1.8.0
OTEL_BUILDER_VERSION=v0.165.0
FERROKINESIS_VERSION=0.7.0

NEEDED=(python s3 opensearch opensearch2 elasticsearch7 elasticsearch9 fluent otel javascript java kcl rust kinesalite kinesis-mock)
OPTIONAL=(versitygw ferrokinesis)

declare -A ABOUT=(
    [python]="boto3, the AWS CLI, aws_kinesis_agg, moto and pytest in a virtual environment"
    [s3]="MinIO, an S3 server with conditional puts"
    [opensearch]="a real OpenSearch node, started from Java"
    [opensearch2]="the same of OpenSearch 2"
    [elasticsearch7]="a real Elasticsearch 7 node, started from Java"
    [elasticsearch9]="a real Elasticsearch 9 node, without most of its modules"
    [fluent]="the Fluent Forward server of @fluent-org/logger (Node.js)"
    [otel]="OpenTelemetry Collector with the Fluent Forward receiver (Go)"
    [javascript]="a client with the AWS SDK for JavaScript v3 (Node.js)"
    [java]="a client with the AWS SDK for Java v2"
    [kcl]="an application on the Kinesis Client Library 3 (Java)"
    [rust]="a client with the AWS SDK for Rust"
    [versitygw]="Versity S3 gateway, a second S3 server (optional)"
    [kinesalite]="kinesalite, an emulator of Kinesis (Node.js)"
    [kinesis-mock]="kinesis-mock, an emulator of Kinesis, as npm's kinesis-local (Node.js)"
    [ferrokinesis]="ferrokinesis, for bench/run.py (Rust, built here, some minutes; optional)"
)

say() { printf 'parts: %s\n' "$*"; }
die() { printf 'parts: FAILED: %s\n' "$*" >&2; exit 1; }

need() {
    command -v "$1" >/dev/null || die "$1 is needed to install part '$2' and is not on the PATH"
}

# The home of a JDK of at least $1 and, if given, at most $2: it is often not the default one.
java_home() {
    local home major least=$1 most=${2:-999}
    for home in "${JAVA21_HOME:-}" "${JAVA17_HOME:-}" "${JAVA_HOME:-}" /usr/lib/jvm/* /opt/java/* /Library/Java/JavaVirtualMachines/*/Contents/Home; do
        [[ -n $home && -x $home/bin/javac ]] || continue
        major=$("$home/bin/javac" -version 2>&1 | sed -n 's/^javac \([0-9]*\).*/\1/p')
        if [[ -n $major && $major -ge $least && $major -le $most ]]; then
            printf '%s' "$home"
            return
        fi
    done
    return 1
}

# OpenSearch 3 and the clients' sources need it.
java21_home() { java_home 21; }

# OpenSearch 2 and Elasticsearch 7 run on no newer one.
java17_home() { java_home 17 21; }

# What a part is made from: when this changes, it is installed anew.
recipe() {
    case $1 in
        # The scripts of a virtual environment know where it stands: in a moved checkout it is made anew.
        python) python3 --version; echo "$parts"; cat "$here/requirements.txt" ;;
        s3) echo "$MINIO_VERSION" ;;
        versitygw) echo "$VERSITYGW_VERSION" ;;
        opensearch) java21_home || true; cat "$here/opensearch/pom.xml" "$here"/opensearch/src/main/java/*.java ;;
        opensearch2) java17_home || true; cat "$here/opensearch2/pom.xml" "$here"/opensearch/src/main/java/*.java ;;
        elasticsearch7) java17_home || true; cat "$here/elasticsearch7/pom.xml" "$here"/elasticsearch7/src/main/java/*.java ;;
        elasticsearch9) java21_home || true; cat "$here/elasticsearch9/pom.xml" "$here"/elasticsearch9/src/main/java/*.java ;;
        fluent | kinesalite | kinesis-mock) cat "$here/$1/package.json" "$here/$1/package-lock.json" ;;
        ferrokinesis) echo "$FERROKINESIS_VERSION" ;;
        otel) echo "$OTEL_BUILDER_VERSION"; cat "$here/otel/builder.yaml" ;;
        javascript) cat "$here/clients/javascript/package.json" "$here/clients/javascript/package-lock.json" ;;
        java) java21_home || true; cat "$here/clients/java/pom.xml" "$here"/clients/java/src/main/java/*.java ;;
        kcl)
            java21_home || true
            cat "$here/clients/kcl/pom.xml" "$here"/clients/kcl/src/main/java/*.java
            cat "$here/clients/java/src/main/java/Say.java"
            ;;
        rust) cargo --version; cat "$here"/clients/rust/Cargo.* "$here"/clients/rust/src/*.rs ;;
    esac
}

install_python() {
    need python3 python
    python3 -m venv --clear "$parts/venv"
    "$parts/venv/bin/python" -m pip install --disable-pip-version-check --quiet --no-deps -r "$here/requirements.txt"
    "$parts/venv/bin/python" -m pip check
}

go_install() {
    need go "$1"
    GOBIN="$parts/bin" GOFLAGS="${GOFLAGS:-} -buildvcs=false" go install -trimpath -ldflags='-s -w' "$2"
}

install_s3() { go_install s3 "github.com/minio/minio@$MINIO_VERSION"; }

install_versitygw() { go_install versitygw "github.com/versity/versitygw/cmd/versitygw@$VERSITYGW_VERSION"; }

# Compiles a Maven module, its sources copied to .parts/ by the caller, and notes its class path and JDK there. The JDK
# is of 21 or later, unless $2 finds another one.
build_java() {
    need mvn "$1"
    local home build="$parts/$1" find=${2:-java21_home} versions="21 or later; say where with JAVA21_HOME"
    [[ $find == java21_home ]] || versions="17 to 21; say where with JAVA17_HOME"
    home=$($find) || die "part '$1' needs a JDK of $versions"
    (
        cd "$build"
        export JAVA_HOME=$home
        mvn --batch-mode --no-transfer-progress compile dependency:build-classpath -Dmdep.outputFile=classpath.txt
    )
    printf '%s' "$home" >"$build/java_home.txt"
}

# Copies the sources of a part into an empty folder in .parts/.
copy_sources() {
    rm -rf "${parts:?}/$1"
    mkdir -p "$parts/$1"
    cp -R "$2/." "$parts/$1/"
}

install_opensearch() {
    copy_sources opensearch "$here/opensearch"
    build_java opensearch
}

# The node of the newer one, against the older library.
install_opensearch2() {
    copy_sources opensearch2 "$here/opensearch"
    cp "$here/opensearch2/pom.xml" "$parts/opensearch2/"
    build_java opensearch2 java17_home
}

install_elasticsearch7() {
    copy_sources elasticsearch7 "$here/elasticsearch7"
    build_java elasticsearch7 java17_home
}

# The jars of its module for HTTP stand beside the class path, as in the distribution: the server loads them itself.
install_elasticsearch9() {
    copy_sources elasticsearch9 "$here/elasticsearch9"
    build_java elasticsearch9
    local home="$parts/elasticsearch9" version
    local netty="$home/modules/transport-netty4" pattern='/(transport-netty4|netty-|elasticsearch-ssl-config)[^/]*$'
    version=$(sed -n 's:.*<version>\(9[^<]*\)</version>.*:\1:p' "$home/pom.xml" | head -n 1)
    mkdir -p "$netty" "$home/plugins"
    tr ':' '\n' <"$home/classpath.txt" | grep -E "$pattern" | xargs -I{} cp {} "$netty/"
    tr ':' '\n' <"$home/classpath.txt" | grep -vE "$pattern" | paste -sd: >"$home/classpath.new"
    mv "$home/classpath.new" "$home/classpath.txt"
    printf '%s\n' name=transport-netty4 description=HTTP "version=$version" "elasticsearch.version=$version" \
        java.version=21 classname=org.elasticsearch.transport.netty4.Netty4Plugin >"$netty/plugin-descriptor.properties"
}

install_java() {
    copy_sources java "$here/clients/java"
    build_java java
}

install_kcl() {
    copy_sources kcl "$here/clients/kcl"
    cp "$here/clients/java/src/main/java/Say.java" "$parts/kcl/src/main/java/"
    build_java kcl
}

install_rust() {
    need cargo rust
    # Its target directory stays: a change of the client alone is built in a second.
    (cd "$here/clients/rust" && CARGO_TARGET_DIR="$parts/rust/target" cargo build --locked)
    cp "$parts/rust/target/debug/client" "$parts/bin/kinesis-client-rust"
}

npm_install() {
    need npm "$1"
    mkdir -p "$parts/$1"
    cp "$2/package.json" "$2/package-lock.json" "$parts/$1/"
    (cd "$parts/$1" && npm ci --no-audit --no-fund --ignore-scripts)
}

install_javascript() { npm_install javascript "$here/clients/javascript"; }

install_fluent() { npm_install fluent "$here/fluent"; }

install_kinesalite() { npm_install kinesalite "$here/kinesalite"; }

install_kinesis-mock() { npm_install kinesis-mock "$here/kinesis-mock"; }

# Outside of the checkout: its toolchain file and its profile are not the peer's.
install_ferrokinesis() {
    need cargo ferrokinesis
    local build
    build=$(mktemp -d)
    (
        cd "$build"
        CARGO_TARGET_DIR="$build/target" cargo install --locked --force \
            --version "$FERROKINESIS_VERSION" --root "$parts" --no-track ferrokinesis
    )
    rm -rf "$build"
}

install_otel() {
    go_install otel "go.opentelemetry.io/collector/cmd/builder@$OTEL_BUILDER_VERSION"
    rm -rf "$parts/otel"
    mkdir -p "$parts/otel"
    cp "$here/otel/builder.yaml" "$parts/otel/"
    (
        cd "$parts/otel"
        export GOFLAGS="${GOFLAGS:-} -buildvcs=false"
        # It writes the sources and go.mod, then runs `go mod tidy`, which fails for a module that only a component's
        # own tests need and that cannot always be had. The build itself does not need it.
        "$parts/bin/builder" --config builder.yaml --skip-compilation || [[ -f build/go.mod ]]
        cd build
        go build -mod=mod -trimpath -ldflags='-s -w' -o "$parts/bin/otelcol" .
    )
}

is_installed() { [[ -f $parts/stamps/$1 && $(cat "$parts/stamps/$1") == "$(fingerprint "$1")" ]]; }

fingerprint() { recipe "$1" | sha256sum | cut -d' ' -f1; }

install_part() {
    local part=$1 log="$parts/logs/install-$1.log" start=$SECONDS
    is_installed "$part" && { say "$part is installed"; return; }
    say "installing $part: ${ABOUT[$part]}"
    rm -f "$parts/stamps/$part"
    # A subshell of its own: `set -e` does not act inside of a condition.
    set +e
    (set -e; "install_$part") >"$log" 2>&1 </dev/null
    local result=$?
    set -e
    if [[ $result -ne 0 ]]; then
        tail -n 40 "$log" >&2
        die "part '$part' (exit $result); the whole log is in .parts/logs/install-$part.log"
    fi
    fingerprint "$part" >"$parts/stamps/$part"
    say "$part is installed, in $((SECONDS - start)) s"
}

list() {
    local part state kind
    for part in "${NEEDED[@]}" "${OPTIONAL[@]}"; do
        state="not installed"
        is_installed "$part" && state="installed"
        printf '%-15s %-14s %s\n' "$part" "$state" "${ABOUT[$part]}"
    done
}

wanted=()
for argument in "$@"; do
    case $argument in
        --list) list; exit ;;
        --help | -h) sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit ;;
        *)
            [[ -n ${ABOUT[$argument]:-} ]] || die "no part is named '$argument'; --list shows them all"
            wanted+=("$argument")
            ;;
    esac
done
[[ ${#wanted[@]} -gt 0 ]] || wanted=("${NEEDED[@]}")

mkdir -p "$parts"/{bin,logs,locks,stamps}
need flock "any"
for part in "${wanted[@]}"; do
    (
        flock 9
        install_part "$part"
    ) 9>"$parts/locks/$part"
done
