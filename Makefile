# wherry. `make demo` and `make test` do everything; see README.md.
#
#   all            packages that are missing, then the programs
#   demo           a trial over TLS: full sync and MIGRATE with a million-field hash
#   test           build, tidy, unit, flow, sim and interop tests (each also a target of its own)
#   sim            worlds of whole nodes: SEEDS of each, with seeds per second
#   chaos          chains of wherry and Redis under faults for CHAOS_SECONDS, MIGRATE for half of
#                  that, CHAOS_KILLS times kill -9 amid a full sync
#   asan, tsan     unit, flow, sim and interop tests under sanitizers
#   conformance    Redis's own suite: GROUP=dump|repl|tls|types, or FILES='unit/dump ...'; TLS=1
#   bench          speed next to redis-server in the same run; WORDS='sync steady' chooses
#   fuzz           each target for FUZZ_SECONDS, under sanitizers, guided by coverage
#   graph          the machines' tables as pictures in docs/
#   tidy, format   house rules checked; clang-format applied
SHELL   := /bin/bash
CC      ?= cc
BUILD   ?= build
MODE    ?= release
TLS     ?= yes

PACKAGES := libuv1-dev libssl-dev libhiredis-dev libjemalloc-dev liblzf-dev libbsd-dev libcriterion-dev \
            libc6-dev gcc clang-format graphviz redis-server redis-tools redis-sentinel \
            tcl tcl-tls procps openssl python3

WARN    := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
HARDEN  := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE -fno-strict-overflow
CFLAGS_release := -O2 -g $(HARDEN) -DWHERRY_JEMALLOC
LIBS_release   := -ljemalloc
CFLAGS_asan    := -Wno-format-truncation -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
LIBS_asan      :=
# What the fuzzers run tells them where it goes; they themselves don't.
CFLAGS_fuzz    := $(CFLAGS_asan) -fsanitize-coverage=trace-pc
LIBS_fuzz      :=
CFLAGS_tsan    := -Wno-format-truncation -O1 -g -fsanitize=thread -fno-omit-frame-pointer
LIBS_tsan      :=
CFLAGS  := -std=c11 -D_GNU_SOURCE $(WARN) $(CFLAGS_$(MODE)) -Isrc -MMD -MP $(EXTRA_CFLAGS)
LDFLAGS := -pie -Wl,-z,relro,-z,now $(filter -fsanitize=%,$(CFLAGS_$(MODE)))
LIBS    := -luv $(if $(filter no,$(TLS)),,-lssl) -lcrypto -lhiredis -llzf -lbsd -lm -lpthread $(LIBS_$(MODE))
OUT     := $(BUILD)$(if $(filter-out release,$(MODE)),/$(MODE))$(if $(filter no,$(TLS)),/no-tls)

# Everything but the programs is one archive; tests and programs link what they use of it.
LIB_SRC  := $(filter-out src/server/%,$(wildcard src/*/*.c))
# TLS=no leaves OpenSSL's TLS out; conn/no_tls.c then says so to whoever asks for it.
LIB_SRC  := $(filter-out $(if $(filter no,$(TLS)),src/conn/tls_%.c,src/conn/no_tls.c),$(LIB_SRC))
LIB_OBJ  := $(LIB_SRC:%.c=$(OUT)/%.o)
SIM_SRC  := $(wildcard tests/sim/lib/*.c)
SIM_OBJ  := $(SIM_SRC:%.c=$(OUT)/%.o)
UNIT_BIN := $(patsubst tests/unit/%.c,$(OUT)/tests/unit/%,$(wildcard tests/unit/*.c))
WORLD_SRC := $(wildcard tests/sim/world/*.c)
WORLD_OBJ := $(WORLD_SRC:%.c=$(OUT)/%.o)
WORLD_BIN := $(patsubst tests/sim/%.c,$(OUT)/tests/sim/%,$(wildcard tests/sim/*.c))
SEEDS     ?= 200
FUZZ_BIN := $(patsubst tests/fuzz/%.c,$(OUT)/tests/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SECONDS ?= 60
FLOW_BIN := $(patsubst tests/flow/%.c,$(OUT)/tests/flow/%,$(wildcard tests/flow/test_*.c))

.PHONY: all deps programs tests demo test unit flow interop chaos sim tidy format asan tsan graph \
        bench fuzz fuzz-run conformance clean
.SECONDARY:

# What needs packages asks for `deps` and then makes the rest in a second make, so that nothing is
# compiled before its headers are there. That one uses all cores unless told otherwise.
AGAIN = +@$(MAKE) --no-print-directory $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))

all: deps
	$(AGAIN) programs
deps:
	@tools/deps.sh $(PACKAGES)
programs: $(OUT)/wherry-server
tests: programs $(UNIT_BIN) $(FLOW_BIN) $(WORLD_BIN)

# V=1 shows the commands in full.
Q := $(if $(V),,@)
SAY = @$(if $(V),:,echo "  $1")

$(OUT)/wherry-server: $(patsubst %.c,$(OUT)/%.o,$(wildcard src/server/*.c)) $(LIB_OBJ)
	$(call SAY,link $@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(OUT)/libwherry.a: $(LIB_OBJ)
	@rm -f $@
	$(Q)ar rcs $@ $^

$(OUT)/libsim.a: $(SIM_OBJ)
	@rm -f $@
	$(Q)ar rcs $@ $^

$(OUT)/%.o: %.c
	@mkdir -p $(@D)
	$(call SAY,compile $<)
	$(Q)$(CC) $(CFLAGS) -Itests -c -o $@ $<

$(OUT)/tests/unit/%: $(OUT)/tests/unit/%.o $(OUT)/libsim.a $(OUT)/libwherry.a
	$(call SAY,link $@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $< $(OUT)/libsim.a $(OUT)/libwherry.a -lcriterion $(LIBS)

$(OUT)/tests/flow/%: $(OUT)/tests/flow/%.o $(OUT)/libsim.a $(OUT)/libwherry.a
	$(call SAY,link $@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $< $(OUT)/libsim.a $(OUT)/libwherry.a -lcriterion $(LIBS)

$(OUT)/tests/sim/%: $(OUT)/tests/sim/%.o $(WORLD_OBJ) $(OUT)/libsim.a $(OUT)/libwherry.a
	$(call SAY,link $@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $< $(WORLD_OBJ) $(OUT)/libsim.a $(OUT)/libwherry.a $(LIBS)
# Worlds of whole nodes under a seed: SEEDS of each program, the cases that once failed first.
sim: deps
	$(AGAIN) $(WORLD_BIN)
	@for p in $(WORLD_BIN); do $$p --cases --seeds $(SEEDS) --jobs $$(nproc) || exit 1; done

# FILTER=word runs the programs and scripts whose names hold the word.
RUN_TESTS = @python3 tools/test.py --build $(OUT) $(if $(FILTER),--filter '$(FILTER)')
test: deps
	$(AGAIN) tests
	$(RUN_TESTS) tidy unit flow sim interop
unit: deps
	$(AGAIN) $(UNIT_BIN)
	$(RUN_TESTS) unit
flow: deps
	$(AGAIN) $(FLOW_BIN)
	$(RUN_TESTS) flow
interop: deps
	$(AGAIN) programs
	$(RUN_TESTS) interop
# Chains of servers under faults, and kills amid full syncs. CHAOS=words chooses: WRW, kills ...
CHAOS_SECONDS ?= 180
CHAOS_KILLS   ?= 200
chaos: deps
	$(AGAIN) programs
	@python3 tests/chaos/run.py --server $(OUT)/wherry-server --seconds $(CHAOS_SECONDS) \
	  --kills $(CHAOS_KILLS) $(addprefix --seed ,$(SEED)) $(CHAOS)
asan tsan: deps
	$(AGAIN) MODE=$@ tests
	@python3 tools/test.py --build $(BUILD)/$@ $(if $(FILTER),--filter '$(FILTER)') unit flow sim interop
tidy: deps
	$(AGAIN) $(OUT)/wherry-server
	@python3 tools/tidy.py --build $(OUT)
conformance: deps
	$(AGAIN) programs
	@tools/conformance.sh $(if $(filter 1,$(TLS)),--tls) --server $(OUT)/wherry-server \
	  $(addprefix --group ,$(GROUP)) $(FILES)
demo: deps
	$(AGAIN) programs
	@python3 tools/demo.py --server $(OUT)/wherry-server
$(OUT)/bench/load: $(OUT)/bench/load.o $(OUT)/bench/link.o $(OUT)/src/loop/thread_turn.o
	$(call SAY,link $@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lssl -lcrypto -lhiredis
bench: deps
	$(AGAIN) programs $(OUT)/bench/load
	@python3 bench/bench.py --server $(OUT)/wherry-server --load $(OUT)/bench/load $(WORDS)

$(OUT)/tools/graph: $(OUT)/tools/graph.o $(OUT)/libwherry.a
	$(call SAY,link $@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)
graph: deps
	$(AGAIN) $(OUT)/tools/graph
	@mkdir -p docs
	@for m in $$($(OUT)/tools/graph); do \
	  $(OUT)/tools/graph $$m | dot -Tsvg > docs/$$m.svg && echo "docs/$$m.svg" || exit 1; done

# Each target takes its seeds from tests/fuzz/corpus/<name>.
$(OUT)/tests/fuzz/fuzz_%: $(OUT)/tests/fuzz/fuzz_%.o $(OUT)/tests/fuzz/driver.o $(OUT)/libwherry.a
	$(call SAY,link $@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)
$(OUT)/tests/fuzz/driver.o: CFLAGS := $(filter-out -fsanitize-coverage=%,$(CFLAGS))
fuzz:
	$(MAKE) MODE=fuzz fuzz-run
fuzz-run: $(FUZZ_BIN)
	@for t in $(FUZZ_BIN); do n=$${t##*/fuzz_}; $$t $(FUZZ_SECONDS) tests/fuzz/corpus/$$n || exit 1; done

format:
	clang-format -i $$(find src tests tools bench -name '*.[ch]')
clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
