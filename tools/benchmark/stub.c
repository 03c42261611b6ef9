/* An XEP-0114 server that serves one component and measures it.
 *
 * It accepts one connection on loopback, takes any handshake, and then runs three phases over it:
 *   warm-up   as fast as the socket takes them, not measured
 *   latency   a fixed number in flight (1: one at a time), each round trip timed
 *   flood     as fast as the socket takes them, or with so many in flight, until all are answered
 * Every message is exactly MESSAGE_BYTES long and has an id and a body of its own; its sender is
 * one of --users. The component has to answer each with the body "echo " + the request's body. Every
 * answer is counted once by the number in its body (none lost, none twice); every VERIFY_EVERY-th
 * is compared whole. With --count-only answers are just counted, for peers that send canned ones.
 *
 * With --sleepers N there are, all through the latency phase, N other messages under way, each from
 * a sender of its own to sleep@: when one is answered the same sender sends the next.
 *
 * Output: a line "port N", a line "flood" when that begins, then one line of JSON. Then it keeps the stream open until its standard
 * input ends, so that whoever runs it can look at the component's processes while they live.
 * Exit code: 0; 2 for wrong usage; 3 when the component failed, with the reason on stderr.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    MESSAGE_BYTES = 300,
    USERS = 1000,               /* different senders: more than any sane cache of the last few */
    SLEEPERS_MAX = 1000,
    SLEEPER_BYTES = 200,        /* more than the message of one */
    DIGITS = 10,
    VERIFY_EVERY = 64,
    OUT_BYTES = 300 * 256,      /* written at once; a multiple of MESSAGE_BYTES */
    IN_BYTES = 1 << 20,         /* read at once; also the longest answer */
    WINDOW_MAX = 4096,          /* most in flight in the latency phase */
    SENT_SLOTS = 1 << 16        /* send times that are remembered; more than WINDOW_MAX */
};
#define NUMBERS_MAX ((uint64_t)1 << 26)     /* messages of one run: 67 million, 8 MB of bits */
#define NO_LIMIT UINT64_MAX

static const char DOMAIN[] = "echo.localhost";
static const char FILLER[] =                /* read from different places, so that bodies differ */
    "the quick brown fox jumps over the lazy dog while five boxing wizards pack my box with sixty "
    "liquor jugs and sphinx of black quartz judge my vow as waltz bad nymph for quick jigs vex and "
    "how vexingly quick daft zebras jump over bright vixens that jump for dozy fowl quack again ";
enum { FILLER_STARTS = 64 };
static const char CLOSE[] = "</message>", ANSWER[] = ">echo ", ADDRESS[] = "@bench.localhost/desk";

static int peer = -1;
static int count_only, stall_seconds = 20;

static uint64_t users = USERS;
static const char *local_part;              /* of the address that messages go to; NULL: none */

static uint64_t sleepers, slept;
static int idle[SLEEPERS_MAX];              /* those sleepers that have a message to send */
static uint64_t idle_used;

static char template[MESSAGE_BYTES + 1];
static size_t id_at, user_at, body_at, filler_at, filler_bytes;

static char out[OUT_BYTES], in[IN_BYTES];
static size_t out_used, out_done, in_used, in_scanned;

static uint64_t next_number;                /* of the next message to be made */
static uint64_t answered, wrong;
static char first_wrong[512];
static uint8_t *seen;                       /* one bit per number */
static uint64_t sent_at[SENT_SLOTS];        /* ns */
static int timing;                          /* whether round trips are noted */
static uint32_t *trips;                     /* ns */
static size_t trips_used, trips_room;

static void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("stub: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(3);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* ---- messages ---- */

static void put_digits(char *at, uint64_t number, int digits)
{
    while (digits-- > 0) {
        at[digits] = (char)('0' + number % 10);
        number /= 10;
    }
}

static void make_template(void)
{
    char text[MESSAGE_BYTES * 2];
    int start = snprintf(text, sizeof text,
        "<message type='chat' id='m%0*d' from='user000%s' to='%s%s%s'><body>%0*d ",
        DIGITS, 0, ADDRESS, local_part ? local_part : "", local_part ? "@" : "", DOMAIN, DIGITS, 0);
    static const char end[] = "</body></message>";
    filler_at = (size_t)start;
    filler_bytes = MESSAGE_BYTES - (size_t)start - strlen(end);
    memcpy(template, text, (size_t)start);
    memcpy(template + filler_at + filler_bytes, end, strlen(end));
    if (filler_bytes + FILLER_STARTS > sizeof FILLER - 1)
        fail("the filler is too short");
    id_at = (size_t)(strstr(text, "id='m") - text) + strlen("id='m");
    user_at = (size_t)(strstr(text, "user000") - text) + strlen("user");
    body_at = (size_t)(strstr(text, "<body>") - text) + strlen("<body>");
}

static void make_message(char *at, uint64_t number)
{
    memcpy(at, template, MESSAGE_BYTES);
    put_digits(at + id_at, number, DIGITS);
    put_digits(at + user_at, number % users, 3);
    put_digits(at + body_at, number, DIGITS);
    memcpy(at + filler_at, FILLER + number % FILLER_STARTS, filler_bytes);
}

static void add_sleepers(void)
{
    while (idle_used && out_used + SLEEPER_BYTES <= OUT_BYTES) {
        int number = idle[--idle_used];
        out_used += (size_t)snprintf(out + out_used, SLEEPER_BYTES,
            "<message type='chat' id='s%llu' from='sleeper%03d%s' to='sleep@%s'><body>sleep</body></message>",
            (unsigned long long)slept, number, ADDRESS, DOMAIN);
    }
}

/* ---- answers ---- */

static void note_wrong(const char *what, const char *at, size_t bytes)
{
    if (!wrong++)
        snprintf(first_wrong, sizeof first_wrong, "%s: %.*s", what, (int)(bytes < 400 ? bytes : 400), at);
}

static int is_whole(uint64_t number, const char *text, size_t text_bytes, const char *stanza, size_t bytes)
{
    char user[4] = "";
    const char *address = memmem(stanza, bytes, ADDRESS, sizeof ADDRESS - 1);
    put_digits(user, number % users, 3);
    return address && address - stanza > 3 && !memcmp(address - 3, user, 3)
        && text_bytes > DIGITS + 1 + filler_bytes
        && !memcmp(text + DIGITS + 1, FILLER + number % FILLER_STARTS, filler_bytes)
        && text[DIGITS + 1 + filler_bytes] == '<';
}

static void note_trip(uint64_t number, uint64_t now)
{
    if (!timing)
        return;
    if (trips_used == trips_room) {
        trips_room = trips_room ? trips_room * 2 : 4096;
        trips = realloc(trips, trips_room * sizeof *trips);
        if (!trips)
            fail("out of memory");
    }
    uint64_t trip = now - sent_at[number % SENT_SLOTS];
    trips[trips_used++] = trip > UINT32_MAX ? UINT32_MAX : (uint32_t)trip;
}

/* Returns 0 if the answer is none to a sleeper. */
static int wake(const char *stanza, size_t bytes)
{
    static const char NAME[] = "sleeper";
    const char *name = memmem(stanza, bytes, NAME, sizeof NAME - 1);
    if (!name)
        return 0;
    int number = atoi(name + sizeof NAME - 1);
    if (!memmem(stanza, bytes, ">slept<", 7) || idle_used == sleepers || (uint64_t)number >= sleepers)
        fail("no answer of a sleeper: %.*s", (int)(bytes < 400 ? bytes : 400), stanza);
    idle[idle_used++] = number;
    slept++;
    return 1;
}

static void take_answer(const char *stanza, size_t bytes, uint64_t now)
{
    if (sleepers && wake(stanza, bytes))
        return;
    if (count_only) {
        note_trip(answered++, now);     /* in order, for want of a number */
        return;
    }
    const char *text = memmem(stanza, bytes, ANSWER, sizeof ANSWER - 1);
    if (!text || (size_t)(stanza + bytes - text) < sizeof ANSWER + DIGITS) {
        note_wrong("no echo in", stanza, bytes);
        return;
    }
    text += sizeof ANSWER - 1;
    uint64_t number = 0;
    for (int i = 0; i < DIGITS; i++) {
        if (text[i] < '0' || text[i] > '9') {
            note_wrong("no number in", stanza, bytes);
            return;
        }
        number = number * 10 + (uint64_t)(text[i] - '0');
    }
    if (number >= next_number) {
        note_wrong("never asked", stanza, bytes);
        return;
    }
    uint8_t bit = (uint8_t)(1u << (number & 7));
    if (seen[number >> 3] & bit) {
        note_wrong("answered twice", stanza, bytes);
        return;
    }
    seen[number >> 3] |= bit;
    if (number % VERIFY_EVERY == 0 &&
        !is_whole(number, text, (size_t)(stanza + bytes - text), stanza, bytes)) {
        note_wrong("changed on the way", stanza, bytes);
        return;
    }
    answered++;
    note_trip(number, now);
}

static void scan(uint64_t now)
{
    size_t start = 0, from = in_scanned;
    for (;;) {
        const char *close = memmem(in + from, in_used - from, CLOSE, sizeof CLOSE - 1);
        if (!close)
            break;
        size_t end = (size_t)(close - in) + sizeof CLOSE - 1;
        take_answer(in + start, end - start, now);
        start = from = end;
    }
    memmove(in, in + start, in_used - start);
    in_used -= start;
    /* the next look begins where a half close tag may stand */
    in_scanned = in_used < sizeof CLOSE ? 0 : in_used - sizeof CLOSE;
    if (in_used == IN_BYTES)
        fail("an answer of more than %d bytes", IN_BYTES);
}

/* Returns 0 when there was nothing to read. */
static int read_some(void)
{
    ssize_t n = recv(peer, in + in_used, IN_BYTES - in_used, MSG_DONTWAIT);
    if (n == 0)
        fail("the component closed the connection; %.*s", (int)(in_used < 300 ? in_used : 300), in);
    if (n < 0) {
        if (errno == EAGAIN || errno == EINTR)
            return 0;
        fail("the connection broke: %s", strerror(errno));
    }
    in_used += (size_t)n;
    return 1;
}

static void wait_for(short events)
{
    struct pollfd p = { .fd = peer, .events = events };
    int n = poll(&p, 1, stall_seconds * 1000);
    if (n == 0)
        fail("no answer for %d s: %llu of %llu answered, %llu wrong%s%s", stall_seconds,
             (unsigned long long)answered, (unsigned long long)next_number, (unsigned long long)wrong,
             wrong ? ", first " : "", first_wrong);
}

/* ---- phases ---- */

typedef struct {
    uint64_t stanzas;
    double seconds, cpu;
} Result;

/* Sends `limit` messages, or as many as fit into `seconds` (0: no limit), with at most `window` in
 * flight (0: as many as the socket takes), and returns when the last is answered. */
static Result run_phase(uint64_t limit, double seconds, uint64_t window)
{
    uint64_t first = next_number, answered_before = answered + wrong;
    double cpu = cpu_seconds();
    uint64_t started = now_ns(), until = seconds > 0 ? started + (uint64_t)(seconds * 1e9) : UINT64_MAX;
    int more = 1;
    for (;;) {
        uint64_t done = answered + wrong - answered_before;
        while (more && out_used == 0) {     /* make what may be sent now */
            uint64_t made = next_number - first;
            uint64_t room = window ? window - (made - done) : OUT_BYTES / MESSAGE_BYTES;
            if (room > OUT_BYTES / MESSAGE_BYTES)
                room = OUT_BYTES / MESSAGE_BYTES;
            if (limit != NO_LIMIT && room > limit - made)
                room = limit - made;
            uint64_t now = now_ns();
            if ((limit != NO_LIMIT && made == limit) || now >= until || next_number + room > NUMBERS_MAX) {
                more = 0;
                break;
            }
            if (!room)
                break;
            for (uint64_t i = 0; i < room; i++) {
                sent_at[next_number % SENT_SLOTS] = now;
                make_message(out + i * MESSAGE_BYTES, next_number++);
            }
            out_used = room * MESSAGE_BYTES;
            out_done = 0;
        }
        if (timing && more)
            add_sleepers();
        if (!more && out_used == 0 && done >= next_number - first && idle_used == sleepers)
            break;
        int wrote = 0;
        if (out_used) {
            ssize_t n = send(peer, out + out_done, out_used - out_done, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (n < 0 && errno != EAGAIN && errno != EINTR)
                fail("the connection broke: %s", strerror(errno));
            if (n > 0) {
                wrote = 1;
                out_done += (size_t)n;
                if (out_done == out_used)
                    out_used = out_done = 0;
            }
        }
        if (read_some())
            scan(now_ns());
        else if (!wrote || (window && !out_used))
            wait_for((short)(POLLIN | (out_used ? POLLOUT : 0)));
    }
    Result r = { next_number - first, (double)(now_ns() - started) / 1e9, cpu_seconds() - cpu };
    return r;
}

/* ---- the stream ---- */

static void send_text(const char *text)
{
    size_t left = strlen(text);
    while (left) {
        ssize_t n = send(peer, text, left, MSG_NOSIGNAL);
        if (n < 0)
            fail("the connection broke: %s", strerror(errno));
        text += n;
        left -= (size_t)n;
    }
}

/* Reads until `tag` and the '>' after it, and forgets all up to there. */
static void expect(const char *tag)
{
    for (;;) {
        char *found = memmem(in, in_used, tag, strlen(tag));
        char *end = found ? memchr(found, '>', in_used - (size_t)(found - in)) : NULL;
        if (end) {
            in_used -= (size_t)(end + 1 - in);
            memmove(in, end + 1, in_used);
            return;
        }
        if (!read_some())
            wait_for(POLLIN);
        if (in_used > 16384)
            fail("no %s in the first 16 kB", tag);
    }
}

static void accept_component(int port)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    socklen_t size = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1))
        fail("cannot listen on port %d: %s", port, strerror(errno));
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("port %d\n", ntohs(address.sin_port));
    fflush(stdout);
    struct pollfd p = { .fd = listener, .events = POLLIN };
    if (poll(&p, 1, stall_seconds * 1000) == 0)
        fail("no component has connected for %d s", stall_seconds);
    peer = accept(listener, NULL, NULL);
    if (peer < 0)
        fail("accept: %s", strerror(errno));
    close(listener);
    setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    expect("<stream:stream");
    send_text("<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' "
              "xmlns:stream='http://etherx.jabber.org/streams' id='bench' from='echo.localhost'>");
    expect("</handshake");
    send_text("<handshake/>");
}

/* Until standard input ends; a component that closes the stream before is answered. */
static void wait_for_the_end(void)
{
    static const char END[] = "</stream:stream>";
    struct pollfd p[2] = { { .fd = 0, .events = POLLIN }, { .fd = peer, .events = POLLIN } };
    in_used = 0;
    for (;;) {
        poll(p, 2, -1);
        if (p[0].revents && read(0, out, sizeof out) <= 0)
            return;
        if (!p[1].revents)
            continue;
        if (in_used == IN_BYTES)
            in_used = 0;
        ssize_t n = recv(peer, in + in_used, IN_BYTES - in_used, MSG_DONTWAIT);
        if (n > 0)
            in_used += (size_t)n;
        if (n <= 0 || memmem(in, in_used, END, sizeof END - 1)) {
            send(peer, END, sizeof END - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
            close(peer);
            p[1].fd = -1;           /* poll() leaves it out */
        }
    }
}

static void print_text(const char *text)            /* as a JSON string */
{
    putchar('"');
    for (; *text; text++)
        if (*text == '"' || *text == '\\')
            printf("\\%c", *text);
        else if ((unsigned char)*text >= ' ' && (unsigned char)*text < 127)
            putchar(*text);
        else
            putchar('?');
    putchar('"');
}

static void usage(void)
{
    fputs("usage: stub [--port N] [--users N] [--to LOCAL-PART] [--count-only] [--stall SECONDS]\n"
          "            [--warm-up STANZAS] [--warm-up-seconds S]\n"
          "            [--round-trips STANZAS] [--in-flight N] [--sleepers N]\n"
          "            [--stanzas N] [--seconds S] [--window N]\n", stderr);
    exit(2);
}

static double number_argument(const char *text, double low, double high)
{
    char *end;
    double value = text ? strtod(text, &end) : 0;
    if (!text || *end || !*text || !(value >= low && value <= high))
        usage();
    return value;
}

int main(int argc, char **argv)
{
    uint64_t warm_up = 0, round_trips = 0, in_flight = 1, stanzas = NO_LIMIT, window = 0;
    double seconds = 0, warm_up_seconds = 0, room = (double)NUMBERS_MAX / 4;
    int port = 0;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--count-only"))
            count_only = 1;
        else if (!strcmp(argv[i], "--port"))
            port = (int)number_argument(argv[++i], 0, 65535);
        else if (!strcmp(argv[i], "--warm-up"))
            warm_up = (uint64_t)number_argument(argv[++i], 0, room);
        else if (!strcmp(argv[i], "--round-trips"))
            round_trips = (uint64_t)number_argument(argv[++i], 0, room);
        else if (!strcmp(argv[i], "--in-flight"))
            in_flight = (uint64_t)number_argument(argv[++i], 1, WINDOW_MAX);
        else if (!strcmp(argv[i], "--stanzas"))
            stanzas = (uint64_t)number_argument(argv[++i], 1, room);
        else if (!strcmp(argv[i], "--seconds"))
            seconds = number_argument(argv[++i], 0.01, 3600);
        else if (!strcmp(argv[i], "--warm-up-seconds"))
            warm_up_seconds = number_argument(argv[++i], 0.01, 3600);
        else if (!strcmp(argv[i], "--window"))
            window = (uint64_t)number_argument(argv[++i], 1, WINDOW_MAX);
        else if (!strcmp(argv[i], "--users"))
            users = (uint64_t)number_argument(argv[++i], 1, USERS);
        else if (!strcmp(argv[i], "--sleepers"))
            sleepers = (uint64_t)number_argument(argv[++i], 0, SLEEPERS_MAX);
        else if (!strcmp(argv[i], "--to") && i + 1 < argc && strlen(argv[i + 1]) <= 20)
            local_part = argv[++i];
        else if (!strcmp(argv[i], "--stall"))
            stall_seconds = (int)number_argument(argv[++i], 1, 3600);
        else
            usage();
    }
    if (stanzas == NO_LIMIT && seconds == 0)
        usage();
    while (idle_used < sleepers) {
        idle[idle_used] = (int)idle_used;
        idle_used++;
    }
    make_template();
    seen = calloc(1, NUMBERS_MAX / 8);
    if (!seen)
        fail("out of memory");
    accept_component(port);

    if (warm_up)
        run_phase(warm_up, warm_up_seconds, window);
    Result latency = { 0, 0, 0 };
    timing = 1;
    if (round_trips)
        latency = run_phase(round_trips, 0, in_flight);
    timing = 0;
    puts("flood");
    fflush(stdout);
    Result flood = run_phase(stanzas, seconds, window);

    printf("{\"stanzas\": %llu, \"seconds\": %.6f, \"stub_cpu\": %.3f, \"wrong\": %llu, \"first_wrong\": ",
           (unsigned long long)flood.stanzas, flood.seconds, flood.cpu / flood.seconds,
           (unsigned long long)wrong);
    print_text(first_wrong);
    printf(", \"slept\": %llu, \"latency_seconds\": %.6f", (unsigned long long)slept, latency.seconds);
    printf(", \"round_trips_ns\": [");
    for (size_t i = 0; i < trips_used; i++)
        printf(i ? ",%u" : "%u", trips[i]);
    puts("]}");
    fflush(stdout);

    wait_for_the_end();
    return 0;
}
