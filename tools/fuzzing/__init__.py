"""Behind tools/fuzz: dialogues with a peer that has gone mad, and a judge of what the engine does.

chance      secrets and salts that are the same in every run
subjects    the engines that are fuzzed: every role, many configurations
case        steps of a dialogue, files of them
record      makes the corpus: our own ends talk to each other
run         one engine and what happens to it, step by step
oracle      what must always be true
law         how bytes are cut makes no difference
words       what mutations put in
mutate      the mutations
explore     the loop: choose a beginning, mutate, judge; behaviour that is new becomes a beginning
box         what a process was about to do when it crashed
worker      one process that loops
boss        the processes and their results
replay      a failure once more
report      results for people
"""
