//! The program `weir-feed`. All of it is in the library, where tests and fuzzing reach it.

fn main() -> std::process::ExitCode {
    weir_feed::run()
}
