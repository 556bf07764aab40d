# SPDX-License-Identifier: GPL-2.0
# KSRC=DIR takes another kernel source tree; see README.

SELFTESTS := tools/testing/selftests/net/qp
IB := tools/testing/selftests/net/ib
QPEMU := tools/testing/selftests/rdma/qpemu
PROGRAMS := $(CURDIR)/build/selftests
KIND ?= um
FILE ?= build/source.tar
T ?=
CMD ?=

.PHONY: help run shell fabric test bench check series programs clean

help:
	@echo 'make run     show a file and messages go through queue pairs in the patched kernel'
	@echo 'make shell   a shell in the patched kernel'
	@echo 'make fabric  a shell in it on an InfiniBand fabric of four hosts and a switch;'
	@echo '             CMD="COMMAND" runs that there'
	@echo 'make test    all tests in all kernels; T="NAME..." only these'
	@echo 'make bench   the benchmark; results in build/bench'
	@echo 'make check   style, static analysis, and that every patch of the series builds'
	@echo 'make series  the patch series with its cover letter, into build/series'
	@echo 'make clean   remove what was built; the kernel source stays'
	@echo 'FILE=FILE is what make run moves (now: $(FILE)).'
	@echo 'KIND=um|um-debug|x86 chooses the kernel of run, shell, fabric and bench (now: $(KIND)).'

run: programs $(FILE)
	@vm/run -k $(KIND) -- $(SELFTESTS)/demo.sh $(PROGRAMS) $(FILE)

shell: programs
	@vm/run -k $(KIND) -- bash

# As it stands: what in it is for a shell is not for make.
fabric: export FABRIC_COMMAND = $(value CMD)
fabric: programs
	@vm/deps fabric
	@PROGRAMS=$(PROGRAMS) vm/run -k $(KIND) -- $(QPEMU)/fabric_shell.sh "$$FABRIC_COMMAND"

test:
	@vm/deps fabric
	@vm/test $(T)

bench: programs
	@vm/deps bench fabric
	@mkdir -p build/bench
	@status=0; \
	vm/run -p -k $(KIND) -o build/bench -- $(SELFTESTS)/qp_bench.sh $(PROGRAMS) \
		$(CURDIR)/build/bench || status=$$?; \
	vm/run -p -k $(KIND) -o build/bench -- $(IB)/ib_bench.sh $(PROGRAMS) \
		$(CURDIR)/build/bench || status=$$?; \
	PROGRAMS=$(PROGRAMS) vm/run -p -k $(KIND) -m 4096 -o build/bench -- \
		$(SELFTESTS)/qp_conns.sh $(CURDIR)/build/bench || status=$$?; \
	PROGRAMS=$(PROGRAMS) vm/run -p -k $(KIND) -o build/bench -- $(QPEMU)/bench.sh \
		$(CURDIR)/build/bench || status=$$?; \
	PROGRAMS=$(PROGRAMS) vm/run -p -k $(KIND) -o build/bench -- $(QPEMU)/fabric_bench.sh \
		$(CURDIR)/build/bench || status=$$?; \
	PROGRAMS=$(PROGRAMS) vm/run -i -k x86 -o build/bench -- $(QPEMU)/instructions.sh \
		$(CURDIR)/build/bench || status=$$?; \
	exit $$status

check:
	@vm/deps check
	@vm/check

series:
	@vm/deps
	@vm/series

# The selftests' programs, against the headers of the laid tree.
programs:
	@vm/deps
	@vm/tree >/dev/null
	@mkdir -p $(PROGRAMS)
	@for dir in $(SELFTESTS) $(IB) $(QPEMU); do \
		$(MAKE) -s -j$$(nproc) -C $$dir KSRC=$(CURDIR)/build/tree OUTPUT=$(PROGRAMS) || \
			exit; \
	done

# A file of some hundred MiB for make run to move: kernel source.
build/source.tar:
	@source=$$(vm/get-kernel) && \
		tar -C "$$source" -cf $@.part arch block crypto fs include kernel lib mm net
	@mv $@.part $@

clean:
	@find build -mindepth 1 -maxdepth 1 ! -name 'linux-source-*' -exec rm -rf {} +
