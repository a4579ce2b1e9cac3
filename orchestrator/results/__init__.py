"""Results of trials and sweeps: reports, leaderboard rows, and the files of a sweep.

trial_report   TrialReport, which a trial sends to Ray Tune, and the dict in which Tune carries it
row            Row, one trial in leaderboard.json; make_row
labels         designs for people, short or spelled out, and their settings
outcome        the outcome of a trial in words
leaderboard    choices among rows: best checkpoint, designs to confirm
sweep_folder   the layout of STORAGE/NAME, read and write
image_strips   comparison pictures
gain_pictures  those of the images on which a network gains most, middling and least
sentinels      names of what a GAN must better
"""
