#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# ib_diag_ask.py ib|qp exact|wrong|none|short|pad|destroy
#
# Requests to sock_diag that ss(8) does not make, or not so. Makes a socket of its
# own to ask for; queue pairs are those of that.

import errno
import os
import socket
import struct
import sys

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY, SOCK_DESTROY = 20, 21
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_DUMP = 1, 0x300
AF_IB, AF_QP = 27, 46
NO_COOKIE = (0xffffffff, 0xffffffff)

MSG = {"ib": AF_IB, "qp": AF_QP}


def request(kind, cookie=(0, 0), qpn=0, pad=0):
    """struct ib_diag_req or qp_diag_req"""
    head = struct.pack("=BBHIII", MSG[kind], 0, pad, 0xffffffff, 0xffffffff, 0)
    if kind == "qp":
        head += struct.pack("=I", qpn)
    return head + struct.pack("=II", *cookie)


def ask(body, kind=SOCK_DIAG_BY_FAMILY, flags=0):
    """The messages of the answer; or an error number"""
    answers = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as s:
        s.settimeout(10)
        s.bind((0, 0))
        flags |= NLM_F_REQUEST
        if kind == SOCK_DESTROY:
            flags |= 4          # NLM_F_ACK
        s.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body)
        while True:
            data = s.recv(1 << 16)
            while data:
                size, what = struct.unpack_from("=IH", data)
                body, data = data[16:size], data[(size + 3) & ~3:]
                if what == NLMSG_ERROR:
                    return -struct.unpack_from("=i", body)[0]
                if what == NLMSG_DONE:
                    return answers
                answers.append(body)
                if not flags & NLM_F_DUMP:
                    return answers


def inode_of(kind, body):
    return struct.unpack_from("=I", body, 16 if kind == "ib" else 24)[0]


def cookie_of(kind, body):
    return struct.unpack_from("=II", body, 28 if kind == "ib" else 36)


def qpn_of(body):
    return struct.unpack_from("=I", body, 12)[0]


def find(kind, own):
    """The message of the own socket, or of the first queue pair"""
    for body in ask(request(kind), flags=NLM_F_DUMP):
        if kind == "qp" or inode_of(kind, body) == os.fstat(own.fileno()).st_ino:
            return body
    raise SystemExit("it is not in the dump")


def expect(what, wanted):
    if what != wanted:
        raise SystemExit(f"{what}, not {wanted}")


def main():
    kind, test = sys.argv[1:]
    with socket.socket(AF_IB, socket.SOCK_DGRAM, 0) as own:
        body = find(kind, own)
        cookie, qpn = cookie_of(kind, body), qpn_of(body)
        if test == "exact":
            answer = ask(request(kind, cookie, qpn))
            expect(inode_of(kind, answer[0]), inode_of(kind, body))
            expect(cookie_of(kind, answer[0]), cookie)
            if kind == "qp":
                answer = ask(request(kind, NO_COOKIE, qpn))
                expect(cookie_of(kind, answer[0]), cookie)
        elif test == "wrong":
            wrong = (cookie[0] ^ 1, cookie[1] ^ 77)
            expect(ask(request(kind, wrong, qpn)),
                   errno.ESTALE if kind == "qp" else errno.ENOENT)
        elif test == "none":
            expect(ask(request(kind, (0, 0), 0)), errno.ENOENT)
            expect(ask(request(kind, NO_COOKIE, 0xffffffff)), errno.ENOENT)
        elif test == "short":
            for size in range(2, len(request(kind))):
                expect(ask(request(kind, cookie, qpn)[:size]), errno.EINVAL)
        elif test == "pad":
            expect(ask(request(kind, cookie, qpn, pad=1)), errno.EINVAL)
            expect(ask(request(kind, pad=1), flags=NLM_F_DUMP), errno.EINVAL)
        elif test == "destroy":
            expect(ask(request(kind, cookie, qpn), SOCK_DESTROY), 0)
            expect(own.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), errno.ECONNABORTED)
        else:
            raise SystemExit(f"what is {test}?")


main()
