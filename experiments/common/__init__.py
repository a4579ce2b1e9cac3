"""Modules that several commands share.

cli              command line, exit codes, the choice where a command runs
help             --help, --help-all and --list
study_command    the main function of every study
sweep_options    options of experiments/sweep.py
"""
