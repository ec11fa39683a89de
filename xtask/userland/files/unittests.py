"""Runs test modules of Python's own suite and prints one line a test: its name and how it went."""

import argparse
import io
import os
import re
import sys
import time
import unittest
import warnings

from test import support


class Result(unittest.TestResult):
    """Keeps what a test ended with under its full name, and says on standard error when each began: the last line names
    the test that a time limit ended."""

    def __init__(self):
        super().__init__()
        self.ends = {}
        self.began = time.monotonic()

    def startTest(self, test):
        super().startTest(test)
        print(f"{time.monotonic() - self.began:8.2f} s {test.id()}", file=sys.stderr, flush=True)

    def note(self, test, end):
        # A failure in a subtest is the test's; only the first word of trouble counts.
        self.ends.setdefault(test.id(), end)

    def addSuccess(self, test):
        self.note(test, "ok")

    def addSkip(self, test, reason):
        self.note(test, "skipped")

    def addExpectedFailure(self, test, error):
        self.note(test, "expected failure")

    def addUnexpectedSuccess(self, test):
        self.note(test, "unexpected success")

    def addError(self, test, error):
        self.note(test, "error")
        print(test.id(), self._exc_info_to_string(error, test), file=sys.stderr)

    def addFailure(self, test, error):
        self.note(test, "failure")
        print(test.id(), self._exc_info_to_string(error, test), file=sys.stderr)

    def addSubTest(self, test, subtest, error):
        if error is not None:
            self.note(test, "subtest failed")
            print(test.id(), self._exc_info_to_string(error, test), file=sys.stderr)


def flatten(suite, wanted):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item, wanted)
        elif wanted(item.id()):
            yield item


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("modules", nargs="+")
    # Tests that measure time, ask for other users, or need more of a machine than a tree of packages.
    parser.add_argument("--without", default="^$")
    arguments = parser.parse_args()
    without = re.compile(arguments.without)
    warnings.simplefilter("ignore")
    support.use_resources = ["subprocess", "network"]
    support.verbose = 0
    os.chdir("/tmp")
    result = Result()
    for module in arguments.modules:
        found = unittest.defaultTestLoader.loadTestsFromName("test." + module)
        # What tests print is no part of the comparison.
        kept, sys.stdout = sys.stdout, io.StringIO()
        try:
            unittest.TestSuite(flatten(found, lambda name: not without.search(name))).run(result)
        finally:
            sys.stdout = kept
    counts = {}
    for name, end in sorted(result.ends.items()):
        print(end, name)
        counts[end] = counts.get(end, 0) + 1
    print(sorted(counts.items()))
    sys.stdout.flush()
    bad = [end for end in counts if end not in ("ok", "skipped", "expected failure")]
    # Threads that a test left behind must not keep the process.
    os._exit(1 if bad else 0)


# Tests that start processes import this file again.
if __name__ == "__main__":
    main()
