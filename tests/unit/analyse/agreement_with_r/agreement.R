# Statistics of data.csv by R. To make the committed file again, in this folder:
#   Rscript agreement.R > expected.csv
# Debian's packages: r-base-core, r-cran-nortest, r-cran-nlme, r-cran-quantreg.
suppressPackageStartupMessages({library(nortest); library(nlme); library(quantreg); library(splines)})

rows <- read.csv("data.csv", stringsAsFactors = FALSE)
first <- rows[!duplicated(rows$id), ]
say <- function(name, value) cat(sprintf("%s,%.17g\n", name, value))

cat("statistic,value\n")
for (what in c("liver", "score")) {
  x <- first[[what]]
  found <- suppressWarnings(cor.test(x, first$age, method = "spearman", exact = FALSE))
  say(paste0(what, ".spearman_rho"), found$estimate)
  say(paste0(what, ".spearman_p"), found$p.value)
  edges <- quantile(first$age, c(0.25, 0.5, 0.75))
  part <- findInterval(first$age, edges, left.open = TRUE) + 1
  test <- kruskal.test(x, part)
  say(paste0(what, ".kruskal_h"), test$statistic)
  say(paste0(what, ".kruskal_p"), test$p.value)
  p <- c()
  for (one in 1:3) for (other in (one + 1):4) {
    p <- c(p, wilcox.test(x[part == other], x[part == one], exact = FALSE, correct = FALSE)$p.value)
    say(sprintf("%s.rank_sum_p.%d%d", what, one, other), p[length(p)])
  }
  corrected <- p.adjust(p, "bonferroni", n = 12)
  for (place in seq_along(corrected)) say(sprintf("%s.p_bonferroni.%d", what, place), corrected[place])
  say(paste0(what, ".ks_statistic"), lillie.test(x)$statistic)
  for (q in 1:4) for (share in c(0.25, 0.5, 0.75)) {
    say(sprintf("%s.quartile.%d.%g", what, q, share), quantile(x[part == q], share))
  }
  male <- as.numeric(first$sex == "male")
  others <- cbind(male, rank(first$height))
  inside <- function(y) resid(lm(y ~ others))
  say(paste0(what, ".partial_rho"), cor(inside(rank(x)), inside(rank(first$age))))
}

fit <- lme(liver ~ I(age - mean(age)), random = ~ 1 | id, data = rows, method = "REML")
say("mixed.per_year", fixed.effects(fit)[2])
say("mixed.se", sqrt(vcov(fit)[2, 2]))

groups <- table(first$centre, first$lost)
test <- suppressWarnings(chisq.test(groups, correct = FALSE))
say("loss.chi_squared", test$statistic)
say("loss.degrees_of_freedom", test$parameter)
say("loss.p", test$p.value)

twice <- rows[rows$id %in% rows$id[duplicated(rows$id)], ]
twice <- twice[order(twice$id, twice$age), ]
before <- twice[!duplicated(twice$id), ]
after <- twice[duplicated(twice$id), ]
change <- after$liver - before$liver
per_year <- change / (after$age - before$age)
say("change.signed_rank_p", wilcox.test(change, exact = FALSE, correct = FALSE)$p.value)
interval <- t.test(per_year)
say("change.per_year", interval$estimate)
say("change.per_year_low", interval$conf.int[1])
say("change.per_year_high", interval$conf.int[2])
say("change.sd", sd(change))
say("repeatability.sd_within", sqrt(summary(aov(liver ~ factor(id), data = twice))[[1]]["Residuals", "Mean Sq"]))

score <- qnorm((rank(first$score) - 3 / 8) / (nrow(first) + 1 / 4))
for (place in c(1, 17, 100)) say(sprintf("normal_score.%d", place), score[place])

for (sex in c("female", "male")) {
  own <- first[first$sex == sex, ]
  knots <- round(quantile(own$age, c(0.01, 1 / 3, 2 / 3, 0.99)), 1)
  own <- own[own$age >= knots[1] & own$age <= knots[4], ]
  basis <- bs(own$age, knots = knots[2:3], Boundary.knots = knots[c(1, 4)], degree = 3, intercept = TRUE)
  for (tau in c(0.1, 0.5, 0.9)) {
    fit <- suppressWarnings(rq(log(own$liver) ~ basis - 1, tau = tau))
    say(sprintf("centiles.%s.%g.loss", sex, tau), sum(fit$residuals * (tau - (fit$residuals < 0))))
    say(sprintf("centiles.%s.%g.at_60", sex, tau), exp(predict(basis, 60) %*% coef(fit)))
  }
}
