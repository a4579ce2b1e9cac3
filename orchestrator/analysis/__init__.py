"""Pure statistics of results: no image, run or server is used here.

intervals      confidence intervals and jackknife
significance   verdicts on differences, corrected for multiple comparisons
"""
