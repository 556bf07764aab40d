// SPDX-License-Identifier: GPL-2.0
/*
 * Carries a command's stdin, stdout, stderr and exit status between the host
 * and the lab's kernel over one byte stream: a UML serial line, or a virtio
 * port of QEMU.
 *
 *	relay host LOG SECONDS COMMAND... -- VM...
 *	relay guest DEVICE
 *	relay poweroff
 *
 * The host side starts VM, which reads the stream from descriptor 3 and writes
 * it to 4, writes what VM prints on 1 and 2 to LOG, and exits with COMMAND's
 * status, 124 after SECONDS, or 125 if VM ended without one. The guest side
 * runs COMMAND with the caller's environment and directory, on a pseudo
 * terminal if the host's stdin and stdout are terminals, else on pipes.
 *
 * The stream is a sequence of frames: length, type, payload. The host keeps at
 * most WINDOW bytes of frames that the guest has not yet consumed, so that the
 * guest's tty layer never has to throttle its line.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define WINDOW		3072
#define MAX_PAYLOAD	4096
#define MAX_DRAIN	1024
#define VM_STREAM_IN	3
#define VM_STREAM_OUT	4
#define EXIT_TIMEOUT	124
#define EXIT_VM_DIED	125
#define POWEROFF_MS	120000

enum frame_type {
	/* guest to host */
	F_READY = 'R',		/* the guest listens */
	F_CREDIT = 'C',		/* uint16_t: bytes of frames consumed */
	F_STDOUT = 'O',
	F_STDERR = 'E',
	F_STATUS = 'S',		/* uint8_t: COMMAND's exit status */
	/* host to guest */
	F_ARGS = 'A',		/* a piece of the strings: cwd, argc, argv, env */
	F_WINSIZE = 'W',	/* struct winsize */
	F_RUN = 'X',		/* uint8_t: on a terminal? */
	F_STDIN = 'I',		/* no payload: end of file */
};

struct header {
	uint16_t len;
	uint8_t type;
	uint8_t unused;
};

struct frame {
	struct header h;
	uint8_t data[MAX_PAYLOAD];
};

static void write_all(int fd, const void *buf, size_t len)
{
	const char *p = buf;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EAGAIN) {
			struct pollfd pfd = { .fd = fd, .events = POLLOUT };

			poll(&pfd, 1, -1);
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return;
		p += n;
		len -= n;
	}
}

static void send_frame(int fd, uint8_t type, const void *data, uint16_t len)
{
	struct frame f = { .h = { .type = type, .len = len } };

	if (len)
		memcpy(f.data, data, len);
	write_all(fd, &f, sizeof(f.h) + len);
}

/*
 * The receiving end of the stream: bytes gather here until a frame is whole.
 */
struct inbox {
	struct frame room[2];
	size_t len;
};

/* Returns false once the stream has ended. */
static bool inbox_fill(struct inbox *in, int fd)
{
	ssize_t n = read(fd, (char *)in->room + in->len, sizeof(in->room) - in->len);

	if (n > 0)
		in->len += n;
	return n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN));
}

static const struct frame *inbox_peek(const struct inbox *in)
{
	const struct frame *f = in->room;

	return in->len >= sizeof(f->h) && in->len >= sizeof(f->h) + f->h.len ? f : NULL;
}

static void inbox_drop(struct inbox *in)
{
	size_t whole = sizeof(struct header) + in->room->h.len;

	in->len -= whole;
	memmove(in->room, (char *)in->room + whole, in->len);
}

/*
 * Host
 */

static pid_t vm_pid;
static struct termios saved_termios;
static bool termios_is_saved;

static void leave(int status)
{
	if (termios_is_saved)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &saved_termios);
	_exit(status);
}

static void kill_vm(int sig)
{
	kill(-vm_pid, SIGKILL);
	leave(sig == SIGALRM ? EXIT_TIMEOUT : 128 + sig);
}

static void terminal_raw(void)
{
	struct termios t;

	if (tcgetattr(STDIN_FILENO, &saved_termios))
		return;
	termios_is_saved = true;
	t = saved_termios;
	cfmakeraw(&t);
	tcsetattr(STDIN_FILENO, TCSADRAIN, &t);
}

/* What the VM prints reaches LOG through a pipe: UML cannot poll a file. */
static int start_logger(const char *path)
{
	char buf[4096];
	int p[2], log;
	ssize_t n;

	log = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
	if (log < 0 || pipe2(p, O_CLOEXEC))
		err(EXIT_VM_DIED, "%s", path);
	if (fork()) {
		close(log);
		close(p[0]);
		return p[1];
	}
	setpgid(0, 0);
	close(p[1]);
	while ((n = read(p[0], buf, sizeof(buf))) > 0)
		write_all(log, buf, n);
	_exit(0);
}

static void move_fd(int from, int to)
{
	if (dup2(from, to) < 0)
		_exit(EXIT_VM_DIED);
}

static void start_vm(char **argv, int log, int *from_vm, int *to_vm)
{
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		err(EXIT_VM_DIED, "pipe");
	vm_pid = fork();
	if (vm_pid) {
		setpgid(vm_pid, vm_pid);
		close(in[0]);
		close(out[1]);
		close(log);
		*from_vm = out[0];
		*to_vm = in[1];
		return;
	}
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	move_fd(open("/dev/null", O_RDONLY), STDIN_FILENO);
	move_fd(log, STDOUT_FILENO);
	move_fd(log, STDERR_FILENO);
	/* Clear of each other's place first. */
	in[0] = fcntl(in[0], F_DUPFD_CLOEXEC, VM_STREAM_OUT + 1);
	out[1] = fcntl(out[1], F_DUPFD_CLOEXEC, VM_STREAM_OUT + 1);
	move_fd(in[0], VM_STREAM_IN);
	move_fd(out[1], VM_STREAM_OUT);
	execvp(argv[0], argv);
	err(EXIT_VM_DIED, "%s", argv[0]);
}

struct host {
	int from_vm, to_vm;
	char **command;
	struct inbox in;
	size_t in_flight;	/* bytes of frames sent and not credited */
	char *args;		/* the F_ARGS payload, and how much has gone */
	size_t args_len, args_sent;
	bool ready, running, stdin_done, tty, winch;
	int status;		/* -1 until the guest tells */
};

static void host_send(struct host *h, uint8_t type, const void *data, uint16_t len)
{
	h->in_flight += sizeof(struct header) + len;
	send_frame(h->to_vm, type, data, len);
}

static size_t host_room(const struct host *h)
{
	size_t used = h->in_flight + sizeof(struct header);

	return used < WINDOW ? WINDOW - used : 0;
}

static void host_send_winsize(struct host *h)
{
	struct winsize ws;

	if (!ioctl(STDIN_FILENO, TIOCGWINSZ, &ws))
		host_send(h, F_WINSIZE, &ws, sizeof(ws));
}

static void put_string(FILE *f, const char *s)
{
	fwrite(s, 1, strlen(s) + 1, f);
}

static void host_gather_args(struct host *h)
{
	FILE *f = open_memstream(&h->args, &h->args_len);
	char *cwd = getcwd(NULL, 0);
	int argc = 0;
	char **s;

	put_string(f, cwd ? cwd : "/");
	for (s = h->command; *s; s++)
		argc++;
	fprintf(f, "%d%c", argc, 0);
	for (s = h->command; *s; s++)
		put_string(f, *s);
	for (s = environ; *s; s++)
		if (strncmp(*s, "TMPDIR=", 7))
			put_string(f, *s);
	fclose(f);
	free(cwd);
}

/* Hand over the command, piece by piece as credit comes back, then start it. */
static void host_send_args(struct host *h)
{
	while (host_room(h) && h->args_sent < h->args_len) {
		size_t n = h->args_len - h->args_sent;

		if (n > host_room(h))
			n = host_room(h);
		host_send(h, F_ARGS, h->args + h->args_sent, n);
		h->args_sent += n;
	}
	if (h->args_sent < h->args_len || host_room(h) < 128)
		return;
	if (h->tty)
		host_send_winsize(h);
	host_send(h, F_RUN, &h->tty, 1);
	h->running = true;
}

static void host_take_frames(struct host *h)
{
	const struct frame *f;
	uint16_t credit;

	while ((f = inbox_peek(&h->in))) {
		switch (f->h.type) {
		case F_READY:
			h->ready = true;
			break;
		case F_CREDIT:
			memcpy(&credit, f->data, sizeof(credit));
			h->in_flight -= credit;
			break;
		case F_STDOUT:
			write_all(STDOUT_FILENO, f->data, f->h.len);
			break;
		case F_STDERR:
			write_all(STDERR_FILENO, f->data, f->h.len);
			break;
		case F_STATUS:
			h->status = f->data[0];
			break;
		}
		inbox_drop(&h->in);
	}
}

static void host_read_stdin(struct host *h)
{
	char buf[WINDOW];
	ssize_t n = read(STDIN_FILENO, buf, host_room(h));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	h->stdin_done = n <= 0;
	host_send(h, F_STDIN, buf, n > 0 ? n : 0);
}

static volatile sig_atomic_t winch_seen;

static void note_winch(int sig)
{
	winch_seen = sig;
}

/* Until the VM ends, which it does by itself after it told the status. */
static int host_loop(struct host *h)
{
	for (;;) {
		bool want_stdin = h->running && !h->stdin_done && h->status < 0 &&
				  host_room(h) > 0;
		struct pollfd pfd[] = {
			{ .fd = h->from_vm, .events = POLLIN },
			{ .fd = want_stdin ? STDIN_FILENO : -1, .events = POLLIN },
		};
		int n = poll(pfd, 2, h->status < 0 ? -1 : POWEROFF_MS);

		if (!n)
			kill_vm(SIGALRM);
		if (winch_seen && h->running && host_room(h) > 128) {
			winch_seen = 0;
			host_send_winsize(h);
		}
		if (n < 0)
			continue;
		if (pfd[0].revents && !inbox_fill(&h->in, h->from_vm))
			break;
		host_take_frames(h);
		if (h->ready && !h->running)
			host_send_args(h);
		if (pfd[1].revents)
			host_read_stdin(h);
	}
	return h->status;
}

static int host_main(int argc, char **argv)
{
	struct host h = { .status = -1 };
	int i, log, status, seconds;

	if (argc < 6)
		errx(EXIT_VM_DIED, "usage: relay host LOG SECONDS COMMAND... -- VM...");
	seconds = atoi(argv[3]);
	h.command = argv + 4;
	/* The last one: COMMAND may hold a "--" of its own, VM does not. */
	for (i = argc - 1; i > 4 && strcmp(argv[i], "--"); i--)
		;
	argv[i] = NULL;
	h.tty = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	host_gather_args(&h);

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	log = start_logger(argv[2]);
	start_vm(argv + i + 1, log, &h.from_vm, &h.to_vm);

	signal(SIGPIPE, SIG_IGN);
	signal(SIGALRM, kill_vm);
	signal(SIGINT, kill_vm);
	signal(SIGTERM, kill_vm);
	signal(SIGHUP, kill_vm);
	alarm(seconds);
	if (h.tty) {
		struct sigaction sa = { .sa_handler = note_winch };

		sigaction(SIGWINCH, &sa, NULL);
		terminal_raw();
	}

	status = host_loop(&h);
	kill(-vm_pid, SIGKILL);
	while (wait(NULL) > 0)
		;
	leave(status < 0 ? EXIT_VM_DIED : status);
	return 0;
}

/*
 * Guest
 */

struct guest {
	int stream;
	struct inbox in;
	char *args;
	size_t args_len;
	struct winsize ws;
	pid_t pid;
	bool run, tty, eof_in;
	int to_stdin;			/* write end; the master of the terminal */
	int from[2];			/* stdout, stderr; -1 once ended */
	const uint8_t *pending;		/* stdin bytes that the pipe had no room for */
	size_t pending_len;
};

static void guest_credit(struct guest *g, uint16_t bytes)
{
	send_frame(g->stream, F_CREDIT, &bytes, sizeof(bytes));
}

static char *next_string(char *s)
{
	return s + strlen(s) + 1;
}

static void guest_exec(struct guest *g)
{
	char *s = g->args, *end = s + g->args_len;
	char **argv;
	int argc, i;

	if (chdir(s))
		warn("%s", s);
	s = next_string(s);
	argc = atoi(s);
	argv = calloc(argc + 1, sizeof(*argv));
	for (i = 0; i < argc; i++) {
		s = next_string(s);
		argv[i] = s;
	}
	clearenv();
	for (s = next_string(s); s < end; s = next_string(s))
		putenv(s);
	setenv("HOME", "/root", 0);
	execvp(argv[0], argv);
	warn("%s", argv[0]);
	_exit(errno == ENOENT ? 127 : 126);
}

static void guest_child_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
}

static void guest_run_on_terminal(struct guest *g)
{
	g->pid = forkpty(&g->to_stdin, NULL, NULL, &g->ws);
	if (g->pid < 0)
		err(1, "forkpty");
	if (!g->pid) {
		guest_child_signals();
		guest_exec(g);
	}
	fcntl(g->to_stdin, F_SETFD, FD_CLOEXEC);
	fcntl(g->to_stdin, F_SETFL, O_NONBLOCK);
	g->from[0] = dup(g->to_stdin);
}

static void guest_run_on_pipes(struct guest *g)
{
	int in[2], out[2], errs[2];

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(errs, O_CLOEXEC))
		err(1, "pipe");
	g->pid = fork();
	if (g->pid < 0)
		err(1, "fork");
	if (!g->pid) {
		setsid();
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		dup2(errs[1], STDERR_FILENO);
		guest_child_signals();
		guest_exec(g);
	}
	close(in[0]);
	close(out[1]);
	close(errs[1]);
	g->to_stdin = in[1];
	g->from[0] = out[0];
	g->from[1] = errs[0];
	fcntl(g->to_stdin, F_SETFL, O_NONBLOCK);
	fcntl(g->from[0], F_SETFL, O_NONBLOCK);
	fcntl(g->from[1], F_SETFL, O_NONBLOCK);
}

static void guest_close_stdin(struct guest *g)
{
	if (g->to_stdin >= 0 && !g->tty)
		close(g->to_stdin);
	g->to_stdin = -1;
}

/* Write what stdin takes; give its credit back once all of a frame is gone. */
static void guest_feed_stdin(struct guest *g)
{
	while (g->pending_len) {
		ssize_t n = g->to_stdin < 0 ? (ssize_t)g->pending_len :
			    write(g->to_stdin, g->pending, g->pending_len);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) {
			guest_close_stdin(g);
			continue;
		}
		g->pending += n;
		g->pending_len -= n;
	}
	guest_credit(g, sizeof(struct header) + inbox_peek(&g->in)->h.len);
	inbox_drop(&g->in);
	g->pending = NULL;
}

static void guest_take_args(struct guest *g, const struct frame *f)
{
	g->args = realloc(g->args, g->args_len + f->h.len);
	memcpy(g->args + g->args_len, f->data, f->h.len);
	g->args_len += f->h.len;
}

static void guest_take_frames(struct guest *g)
{
	const struct frame *f;

	while (!g->pending && (f = inbox_peek(&g->in))) {
		switch (f->h.type) {
		case F_ARGS:
			guest_take_args(g, f);
			break;
		case F_WINSIZE:
			memcpy(&g->ws, f->data, sizeof(g->ws));
			if (g->run && g->tty)
				ioctl(g->to_stdin, TIOCSWINSZ, &g->ws);
			break;
		case F_RUN:
			g->run = true;
			g->tty = f->data[0];
			if (g->tty)
				guest_run_on_terminal(g);
			else
				guest_run_on_pipes(g);
			break;
		case F_STDIN:
			if (f->h.len) {
				g->pending = f->data;
				g->pending_len = f->h.len;
				guest_feed_stdin(g);
				continue;
			}
			guest_close_stdin(g);
			break;
		}
		guest_credit(g, sizeof(f->h) + f->h.len);
		inbox_drop(&g->in);
	}
}

/* Returns whether there was anything. */
static bool guest_forward(struct guest *g, int i)
{
	static const uint8_t type[] = { F_STDOUT, F_STDERR };
	char buf[MAX_PAYLOAD];
	ssize_t n;

	if (g->from[i] < 0)
		return false;
	n = read(g->from[i], buf, sizeof(buf));
	if (n > 0) {
		send_frame(g->stream, type[i], buf, n);
		return true;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	close(g->from[i]);
	g->from[i] = -1;
	return false;
}

static int guest_loop(struct guest *g, int sigchld)
{
	struct signalfd_siginfo si;
	int status;
	pid_t pid;

	for (;;) {
		struct pollfd pfd[] = {
			{ .fd = g->pending ? -1 : g->stream, .events = POLLIN },
			{ .fd = g->pending ? g->to_stdin : -1, .events = POLLOUT },
			{ .fd = g->from[0], .events = POLLIN },
			{ .fd = g->from[1], .events = POLLIN },
			{ .fd = sigchld, .events = POLLIN },
		};

		if (poll(pfd, 5, -1) < 0)
			continue;
		if (pfd[0].revents && !inbox_fill(&g->in, g->stream))
			return EXIT_VM_DIED;
		if (pfd[1].revents)
			guest_feed_stdin(g);
		guest_take_frames(g);
		if (pfd[2].revents)
			guest_forward(g, 0);
		if (pfd[3].revents)
			guest_forward(g, 1);
		if (!pfd[4].revents || read(sigchld, &si, sizeof(si)) < 0)
			continue;
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
			if (pid == g->pid)
				return WIFEXITED(status) ? WEXITSTATUS(status) :
							   128 + WTERMSIG(status);
	}
}

static int guest_main(const char *device)
{
	struct guest g = { .to_stdin = -1, .from = { -1, -1 } };
	struct termios t;
	sigset_t set;
	uint8_t status;
	int sigchld, n;

	g.stream = open(device, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (g.stream < 0)
		err(1, "%s", device);
	if (!tcgetattr(g.stream, &t)) {
		cfmakeraw(&t);
		tcsetattr(g.stream, TCSANOW, &t);
	}
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigchld = signalfd(-1, &set, SFD_CLOEXEC);

	send_frame(g.stream, F_READY, NULL, 0);
	status = guest_loop(&g, sigchld);
	/* What COMMAND left in its pipes; what it left running may write on. */
	for (n = 0; n < MAX_DRAIN; n++)
		if (!guest_forward(&g, 0) && !guest_forward(&g, 1))
			break;
	send_frame(g.stream, F_STATUS, &status, 1);
	tcdrain(g.stream);
	return 0;
}

/* A closed stdin must not become another descriptor's number. */
static void fill_standard_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	close(fd);
}

int main(int argc, char **argv)
{
	fill_standard_fds();
	if (argc > 1 && !strcmp(argv[1], "host"))
		return host_main(argc, argv);
	if (argc == 3 && !strcmp(argv[1], "guest"))
		return guest_main(argv[2]);
	if (argc == 2 && !strcmp(argv[1], "poweroff"))
		return reboot(RB_POWER_OFF);
	errx(2, "usage: relay host LOG SECONDS COMMAND... -- VM... | guest DEVICE | poweroff");
}
