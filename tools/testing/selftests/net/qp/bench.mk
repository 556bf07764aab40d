# SPDX-License-Identifier: GPL-2.0
#
# What a benchmark is made of besides its own: $(BENCH), with $(QP) for this
# directory. It compares with libibverbs where that is, by the ends of qpemu's
# tests.

$(BENCH): $(addprefix $(QP)/,libqp.c qp_test.c qp_net.c) \
	$(wildcard $(QP)/bench_*.c)
# Of tests there are many, and compiling them takes long. What is measured is optimized
$(BENCH): CFLAGS += -O2

ifneq ($(shell printf '\043include <infiniband/verbs.h>\n\043include <rdma/rdma_cma.h>\n' | \
	$(CC) -E - >/dev/null 2>&1 && echo y),)
$(BENCH): $(QP)/../../rdma/qpemu/pair.c
$(BENCH): CFLAGS += -DHAVE_VERBS
$(BENCH): LDLIBS += -libverbs -lrdmacm
endif
