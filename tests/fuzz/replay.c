/* replay.c: gives a fuzzer's function the files of its corpus, one after another, where libFuzzer is not linked in.
 *
 * Arguments are files and folders (one level). A case that crashes ends the program, which is the failure that the test runner
 * sees. An empty or missing corpus is a failure too: a fuzzer that is never run tests nothing.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        return 0;
    }
    /* Memory of exactly the file's size, so that a sanitizer sees a read past its end. */
    uint8_t *data = NULL;
    size_t size = 0;
    if (fseek(f, 0, SEEK_END) == 0 && ftell(f) >= 0) size = (size_t)ftell(f);
    rewind(f);
    data = malloc(size ? size : 1);
    int done = data && fread(data, 1, size, f) == size;
    fclose(f);
    if (done) {
        fprintf(stderr, "replay %s\n", path);
        LLVMFuzzerTestOneInput(data, size);
    } else {
        fprintf(stderr, "%s: cannot be read\n", path);
    }
    free(data);
    return done;
}

static int replay_folder(const char *path, int *failed) {
    DIR *dir = opendir(path);
    if (!dir) return -1;
    int passed = 0;
    for (struct dirent *d; (d = readdir(dir));) {
        if (d->d_name[0] == '.') continue;
        char file[4096];
        snprintf(file, sizeof file, "%s/%s", path, d->d_name);
        if (replay(file)) passed++;
        else ++*failed;
    }
    closedir(dir);
    return passed;
}

int main(int argc, char **argv) {
    int passed = 0, failed = 0;
    for (int i = 1; i < argc; i++) {
        int n = replay_folder(argv[i], &failed);
        if (n < 0) n = replay(argv[i]);
        if (n == 0) {
            fprintf(stderr, "%s: nothing to replay\n", argv[i]);
            failed++;
        }
        passed += n;
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed || !passed;
}
