# wherry. `make demo` and `make test` do everything; see README.md.
SHELL   := /bin/bash
CC      ?= cc
BUILD   ?= build
MODE    ?= release
TLS     ?= yes

PACKAGES := libuv1-dev libssl-dev libhiredis-dev libjemalloc-dev liblzf-dev libcriterion-dev \
            pkg-config gcc clang-format graphviz redis-server redis-tools redis-sentinel \
            tcl tcl-tls procps openssl python3

WARN    := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
HARDEN  := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE -fno-strict-overflow
CFLAGS_release := -O2 -g $(HARDEN) -DWHERRY_JEMALLOC
LIBS_release   := -ljemalloc
CFLAGS_asan    := -Wno-format-truncation -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
LIBS_asan      :=
CFLAGS_tsan    := -Wno-format-truncation -O1 -g -fsanitize=thread -fno-omit-frame-pointer
LIBS_tsan      :=
CFLAGS  := -std=c11 -D_GNU_SOURCE $(WARN) $(CFLAGS_$(MODE)) -Isrc -MMD -MP $(EXTRA_CFLAGS)
LDFLAGS := -pie -Wl,-z,relro,-z,now $(filter -fsanitize%,$(CFLAGS_$(MODE)))
LIBS    := -luv $(if $(filter no,$(TLS)),,-lssl) -lcrypto -lhiredis -llzf -lm -lpthread $(LIBS_$(MODE))
OUT     := $(BUILD)$(if $(filter-out release,$(MODE)),/$(MODE))$(if $(filter no,$(TLS)),/no-tls)

# Everything but the programs is one archive; tests and programs link what they use of it.
LIB_SRC  := $(filter-out src/server/%,$(wildcard src/*/*.c))
# TLS=no leaves OpenSSL's TLS out; conn/no_tls.c then says so to whoever asks for it.
LIB_SRC  := $(filter-out $(if $(filter no,$(TLS)),src/conn/tls_%.c,src/conn/no_tls.c),$(LIB_SRC))
LIB_OBJ  := $(LIB_SRC:%.c=$(OUT)/%.o)
SIM_SRC  := $(wildcard tests/sim/lib/*.c)
SIM_OBJ  := $(SIM_SRC:%.c=$(OUT)/%.o)
UNIT_BIN := $(patsubst tests/unit/%.c,$(OUT)/tests/unit/%,$(wildcard tests/unit/*.c))
FUZZ_BIN := $(patsubst tests/fuzz/%.c,$(OUT)/tests/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SECONDS ?= 60
FLOW_BIN := $(patsubst tests/flow/%.c,$(OUT)/tests/flow/%,$(wildcard tests/flow/test_*.c))

.PHONY: all deps demo test unit flow interop tidy format asan tsan graph bench fuzz fuzz-run sim conformance clean
.SECONDARY:
all: deps $(OUT)/wherry-server

$(OUT)/wherry-server: $(patsubst %.c,$(OUT)/%.o,$(wildcard src/server/*.c)) $(LIB_OBJ)
	$(CC) $(LDFLAGS) -Wl,--unresolved-symbols=ignore-all -o $@ $^ $(LIBS)

$(OUT)/libwherry.a: $(LIB_OBJ)
	@rm -f $@
	ar rcs $@ $^

$(OUT)/libsim.a: $(SIM_OBJ)
	@rm -f $@
	ar rcs $@ $^

$(OUT)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -Itests -c -o $@ $<

$(OUT)/tests/unit/%: $(OUT)/tests/unit/%.o $(OUT)/libsim.a $(OUT)/libwherry.a
	$(CC) $(LDFLAGS) -o $@ $< $(OUT)/libsim.a $(OUT)/libwherry.a -lcriterion $(LIBS)

$(OUT)/tests/flow/%: $(OUT)/tests/flow/%.o $(OUT)/libsim.a $(OUT)/libwherry.a
	$(CC) $(LDFLAGS) -o $@ $< $(OUT)/libsim.a $(OUT)/libwherry.a -lcriterion $(LIBS)

unit: $(UNIT_BIN)
	@for t in $(UNIT_BIN); do echo "== $$t"; $$t -j1 || exit 1; done
flow: $(FLOW_BIN)
	@for t in $(FLOW_BIN); do echo "== $$t"; $$t -j1 || exit 1; done

# Each target takes its seeds from tests/fuzz/corpus/<name>.
$(OUT)/tests/fuzz/fuzz_%: $(OUT)/tests/fuzz/fuzz_%.o $(OUT)/tests/fuzz/driver.o $(OUT)/libwherry.a
	$(CC) $(LDFLAGS) -Wl,--unresolved-symbols=ignore-all -o $@ $^ $(LIBS)
fuzz:
	$(MAKE) MODE=asan fuzz-run
fuzz-run: $(FUZZ_BIN)
	@for t in $(FUZZ_BIN); do n=$${t##*/fuzz_}; $$t $(FUZZ_SECONDS) tests/fuzz/corpus/$$n || exit 1; done

format:
	clang-format -i $$(git ls-files '*.c' '*.h')
clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

# What must build before a change is taken.
print-landcheck:
	@echo $(OUT)/libwherry.a $(OUT)/libsim.a $(if $(wildcard src/server/main.c),$(OUT)/wherry-server)
