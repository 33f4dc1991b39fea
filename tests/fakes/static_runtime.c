/* A Lambda runtime in one static program: it polls the Runtime API and answers with what the event tells it to find
 * out about its environment. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

static int connected(void) {
    char host[64];
    const char *address = getenv("AWS_LAMBDA_RUNTIME_API");
    if (!address) { fprintf(stderr, "no runtime api\n"); exit(3); }
    snprintf(host, sizeof host, "%s", address);
    char *colon = strchr(host, ':');
    *colon = 0;
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons(atoi(colon + 1))};
    inet_pton(AF_INET, host, &place.sin_addr);
    int one = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(one, (struct sockaddr *)&place, sizeof place) != 0) { perror("connect"); exit(4); }
    return one;
}

static void exchange(const char *request, char *answer, size_t size) {
    int one = connected();
    size_t got = 0;
    if (write(one, request, strlen(request)) < 0) exit(5);
    for (;;) {
        ssize_t count = read(one, answer + got, size - 1 - got);
        if (count <= 0) break;
        got += count;
        answer[got] = 0;
        char *body = strstr(answer, "\r\n\r\n"), *length = strcasestr(answer, "content-length:");
        if (body && (!length || got - (body + 4 - answer) >= (size_t)atoi(length + 15))) break;
    }
    answer[got] = 0;
    close(one);
}

static const char *tried(int result) { return result >= 0 ? "done" : strerror(errno); }

static void answer(const char *event, char *body, size_t size) {
    char text[512] = "";
    if (strstr(event, "\"where\"")) {
        if (!getcwd(text, sizeof text)) strcpy(text, "?");
    } else if (strstr(event, "\"write root\"")) {
        snprintf(text, sizeof text, "%s", tried(open("/new", O_WRONLY | O_CREAT, 0644)));
    } else if (strstr(event, "\"write tmp\"")) {
        snprintf(text, sizeof text, "%s", tried(open("/tmp/new", O_WRONLY | O_CREAT, 0644)));
    } else if (strstr(event, "\"fill tmp\"")) {
        static char piece[1 << 20];
        int megabytes = 0, one = open("/tmp/full", O_WRONLY | O_CREAT, 0644);
        while (write(one, piece, sizeof piece) == sizeof piece) megabytes++;
        snprintf(text, sizeof text, "%d", megabytes);
        unlink("/tmp/full");
    } else if (strstr(event, "\"mount\"")) {
        snprintf(text, sizeof text, "%s", tried(mount("none", "/tmp", "tmpfs", 0, "")));
    } else if (strstr(event, "\"become root\"")) {
        snprintf(text, sizeof text, "%s", tried(setuid(0)));
    } else if (strstr(event, "\"devices\"")) {
        char byte;
        int ok = read(open("/dev/urandom", O_RDONLY), &byte, 1) == 1 && write(open("/dev/null", O_WRONLY), "x", 1) == 1;
        ok = ok && write(open("/dev/stderr", O_WRONLY), "to stderr\n", 10) == 10;
        snprintf(text, sizeof text, "%s", ok ? "there" : strerror(errno));
    } else if (strstr(event, "\"root\"")) {
        struct dirent *entry;
        for (DIR *all = opendir("/"); (entry = readdir(all));)
            if (entry->d_name[0] != '.') snprintf(text + strlen(text), sizeof text - strlen(text), "%s ", entry->d_name);
    } else if (strstr(event, "\"processes\"")) {
        struct dirent *entry;
        int count = 0;
        for (DIR *all = opendir("/proc"); (entry = readdir(all));) count += atoi(entry->d_name) > 0;
        snprintf(text, sizeof text, "%d of which I am %d", count, getpid());
    } else if (strstr(event, "\"spawn\"")) {
        if (fork() == 0) { setsid(); for (;;) pause(); }
        strcpy(text, "spawned");
    } else if (strstr(event, "\"privileges\"")) {
        char line[256], name[64], value[64];
        for (FILE *status = fopen("/proc/self/status", "r"); fgets(line, sizeof line, status);) {
            if (sscanf(line, "%63[^:]: %63s", name, value) != 2) continue;
            if (strncmp(name, "Cap", 3) == 0 || strcmp(name, "NoNewPrivs") == 0 || strcmp(name, "Seccomp") == 0)
                snprintf(text + strlen(text), sizeof text - strlen(text), "%s=%s ", name, value);
        }
    } else if (strstr(event, "\"reach ")) {
        char heard[256];
        struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons(atoi(strstr(event, "\"reach ") + 7))};
        inet_pton(AF_INET, "127.0.0.1", &place.sin_addr);
        const char *request = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nhost: l\r\n\r\n";
        int one = socket(AF_INET, SOCK_STREAM, 0);
        int reached = connect(one, (struct sockaddr *)&place, sizeof place) == 0;
        reached = reached && send(one, request, strlen(request), MSG_NOSIGNAL) > 0 && read(one, heard, sizeof heard) > 0;
        strcpy(text, reached ? "reached" : "closed");
    } else if (strstr(event, "\"show ")) {
        char path[512] = "";
        sscanf(strstr(event, "\"show ") + 6, "%511[^\"]", path);
        int one = open(path, O_RDONLY);
        if (one < 0 || read(one, text, sizeof text - 1) < 0) snprintf(text, sizeof text, "%s", strerror(errno));
    } else if (strstr(event, "\"crash\"")) {
        exit(9);
    } else {
        const char *value = getenv("ASKED");
        snprintf(text, sizeof text, "user %d asked %s", getuid(), value ? value : "nothing");
    }
    snprintf(body, size, "\"%s\"", text);
}

int main(int count, char **arguments) {
    static char request[4096], heard[65536], body[1024];
    signal(SIGPIPE, SIG_IGN);
    fprintf(stdout, "started with %d arguments, last %s\n", count, arguments[count - 1]);
    fflush(stdout);
    for (;;) {
        exchange("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nhost: l\r\n\r\n", heard, sizeof heard);
        char *id = strcasestr(heard, "lambda-runtime-aws-request-id:");
        if (!id) return 6;
        char request_id[64] = "";
        sscanf(id + 30, " %63[^\r\n]", request_id);
        answer(strstr(heard, "\r\n\r\n"), body, sizeof body);
        snprintf(request, sizeof request,
                 "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nhost: l\r\ncontent-length: %zu\r\n\r\n%s",
                 request_id, strlen(body), body);
        exchange(request, heard, sizeof heard);
    }
}
