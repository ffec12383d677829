// Every file of a released library is compiled with this in front (release/build_wheel.py), so that a library from today's
// compiler loads where older C and C++ libraries are.
//
// Of a function that has several versions the linker takes the newest, although the oldest does the same for us.

#if defined(__linux__) && defined(__x86_64__)
// glibc 2.34 moved it from libpthread, which TensorFlow loads anyway, into libc.
__asm__(".symver pthread_mutex_trylock, pthread_mutex_trylock@GLIBC_2.2.5");
// std::condition_variable::wait: the one of GCC 12 lets the exception of a thread that is cancelled pass. Ours are not cancelled.
__asm__(
    ".symver _ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE, "
    "_ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE@GLIBCXX_3.4.11");
#endif
