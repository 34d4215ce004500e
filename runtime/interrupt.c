/* Signals as data: signalfd (Linux). */
#include "runtime/interrupt.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void block(int how) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(how, &set, NULL);
}

void interrupt_init(Interrupt *interrupt) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    interrupt->asked = false;
    interrupt->file = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (interrupt->file >= 0) block(SIG_BLOCK);
}

void interrupt_release(Interrupt *interrupt) {
    if (interrupt->file >= 0) close(interrupt->file);
    interrupt->file = -1;
    block(SIG_UNBLOCK);
}

bool interrupt_asked(Interrupt *interrupt) {
    struct signalfd_siginfo info;
    if (interrupt->asked || interrupt->file < 0) return interrupt->asked;
    if (read(interrupt->file, &info, sizeof info) != sizeof info) return false;
    interrupt->asked = true;
    block(SIG_UNBLOCK);
    return true;
}
