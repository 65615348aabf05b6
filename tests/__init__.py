"""The test suite; see CONTRIBUTING for which kind of test goes where."""
